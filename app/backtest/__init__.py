"""Would it have caught it? The production engine over the history, with a clock that follows the tickets."""

from app.backtest.replay import Clock, Raised, backtest, beside, history, replay, scratch, told

__all__ = ["Clock", "Raised", "backtest", "beside", "history", "replay", "scratch", "told"]
