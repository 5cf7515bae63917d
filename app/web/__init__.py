"""The review pages: server-rendered, readable without JavaScript."""

from fastapi import FastAPI

from app.runtime import Runtime


def mount(app: FastAPI, runtime: Runtime) -> None:
    """Add the pages to the service."""
