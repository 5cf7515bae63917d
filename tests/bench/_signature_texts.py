"""Support texts with the signatures a careful reader would write down, primary one first.

`HELD_OUT` was written before the extractor and is never looked at while tuning; `TUNING` is what
the extractor may be mended on. Labels are compared without regard to case. The connector's ticket
prefix is "SUP" throughout.
"""
# ruff: noqa: E501  # one text is one line

from __future__ import annotations

TICKET_PREFIXES = ("SUP",)

Text = tuple[str, tuple[str, ...]]

HELD_OUT: tuple[Text, ...] = (
    # identity, databases
    ("Since this morning nobody can sign in, we only see AADSTS50011: The reply URL specified in the request does not match.", ("AADSTS50011",)),
    ("Login loop. Sorry, but we're having trouble signing you in. AADSTS700016 Application with identifier was not found in the directory. Correlation Id: 5f1b2c3d-1111-4222-8333-abcdefabcdef Timestamp: 2024-03-02 09:14:11Z", ("AADSTS700016",)),
    ("aadsts90072 again for our guest users", ("AADSTS90072",)),
    ("The nightly export dies with ORA-01555: snapshot too old: rollback segment number 9 too small", ("ORA-01555",)),
    ("ora-1017 invalid username/password when the batch user connects", ("ORA-01017",)),
    ("Listener problem: TNS-12541: TNS:no listener on the reporting box", ("TNS-12541",)),
    ("Compile of our package fails, PLS-00201: identifier 'APP.PKG_TAX' must be declared, then ORA-06550: line 1, column 7", ("PLS-00201", "ORA-06550")),
    ("Backup job: RMAN-06059: expected archived log not found, loss of archived log compromises recoverability", ("RMAN-06059",)),
    ("ERROR:  relation \"invoices\" does not exist (SQLSTATE 42P01)", ("SQLSTATE 42P01",)),
    ("PDOException: SQLSTATE[HY000] [2002] Connection refused", ("SQLSTATE HY000", "PDOException")),
    ("Msg 1205, Level 13, State 51, Line 1 Transaction (Process ID 62) was deadlocked on lock resources", ("Msg 1205",)),
    ("SSMS says Msg 18456, Level 14, State 1, Server SQLPROD\\MAIN: login failed", ("Msg 18456",)),
    ("mysql -u app -p fails: ERROR 1045 (28000): Access denied for user 'app'@'<ip>' (using password: YES)", ("MySQL 1045",)),
    ("ERROR 2013 (HY000): Lost connection to MySQL server during query, after roughly 30 seconds", ("MySQL 2013",)),
    ("DB2 gives SQL0911N  The current transaction has been rolled back because of a deadlock or timeout. Reason code \"2\".", ("SQL0911N",)),
    ("DB2 SQL Error: SQLCODE=-803, SQLSTATE=23505, SQLERRMC=2;ACME.ORDERS", ("SQLCODE -803", "SQLSTATE 23505")),
    # npm, browsers
    ("npm ERR! code ERESOLVE\nnpm ERR! ERESOLVE unable to resolve dependency tree", ("npm ERESOLVE",)),
    ("Pipeline broken since Friday\nnpm ERR! code E401\nnpm ERR! Unable to authenticate, need: Basic realm=\"Artifactory\"", ("npm E401",)),
    ("Chrome shows ERR_CERT_AUTHORITY_INVALID when I open the portal from the office", ("ERR_CERT_AUTHORITY_INVALID",)),
    ("Failed to load resource: net::ERR_CONNECTION_RESET", ("ERR_CONNECTION_RESET",)),
    ("Firefox refuses: SEC_ERROR_UNKNOWN_ISSUER. Edge works.", ("SEC_ERROR_UNKNOWN_ISSUER",)),
    ("Secure Connection Failed. Error code: SSL_ERROR_RX_RECORD_TOO_LONG", ("SSL_ERROR_RX_RECORD_TOO_LONG",)),
    ("customers in Spain see DNS_PROBE_FINISHED_NXDOMAIN for our custom domain", ("DNS_PROBE_FINISHED_NXDOMAIN",)),
    ("console has NS_ERROR_DOM_BAD_URI many times", ("NS_ERROR_DOM_BAD_URI",)),
    ("Too many redirects, ERR_TOO_MANY_REDIRECTS, I cleared the cookies twice", ("ERR_TOO_MANY_REDIRECTS",)),
    # Windows
    ("Blue screen on two laptops: IRQL_NOT_LESS_OR_EQUAL after the driver update", ("IRQL_NOT_LESS_OR_EQUAL",)),
    ("*** STOP: 0x0000007B (0xF78D2524, 0xC0000034, 0x00000000, 0x00000000)", ("STOP 0x7B",)),
    ("bsod, stop code PAGE_FAULT_IN_NONPAGED_AREA when docking", ("PAGE_FAULT_IN_NONPAGED_AREA",)),
    ("Windows Update stops at 30 % with 0x800f0922", ("0x800F0922",)),
    ("Outlook cannot open the mailbox (0x8004010F). Restart did not help.", ("0x8004010F",)),
    ("Application error, exception code 0xc0000005, faulting module ntdll.dll version 10.0.19041.1288", ("0xC0000005",)),
    ("CoCreateInstance returned E_ACCESSDENIED for the service account", ("E_ACCESSDENIED",)),
    ("Add-in: RPC_E_SERVERCALL_RETRYLATER while Excel is busy", ("RPC_E_SERVERCALL_RETRYLATER",)),
    ("the share fails with ERROR_BAD_NETPATH", ("ERROR_BAD_NETPATH",)),
    ("crash dump says STATUS_STACK_BUFFER_OVERRUN in viewer.exe", ("STATUS_STACK_BUFFER_OVERRUN",)),
    # compilers and product ids
    ("error MSB3073: The command \"copy x y\" exited with code 4.", ("MSB3073", "exit code 4")),
    ("Build: Program.cs(12,17): error CS0246: The type or namespace name 'Widget' could not be found", ("CS0246",)),
    ("TS2322 since upgrading, Type 'string' is not assignable to type 'number'", ("TS2322",)),
    ("unresolved external symbol, LNK2019, in the release configuration only", ("LNK2019",)),
    ("ERROR [org.jboss.as] (Controller Boot Thread) WFLYSRV0026: server started (with errors) in 5123ms", ("WFLYSRV0026",)),
    ("[ERROR   ] CWWKZ0002E: An exception occurred while starting the application billing", ("CWWKZ0002E",)),
    ("error[E0382]: borrow of moved value: `config`", ("E0382",)),
    ("rustc prints E0277 for the new trait bound, is that expected?", ("E0277",)),
    ("error: internal compiler error: unexpected substs in resolve\nnote: the compiler unexpectedly panicked. this is a bug.", ("ICE: unexpected substs in resolve",)),
    ("error: linking failed\nerror MT5210: Native linking failed, undefined symbol: _clang", ("MT5210",)),
    # errno, signals, kubernetes, cloud
    ("worker log: connect ECONNREFUSED <ip>:5432", ("ECONNREFUSED",)),
    ("upload aborted, read ECONNRESET, happens for files over 1 GB", ("ECONNRESET",)),
    ("ENOSPC: no space left on device, watch '/srv/app'", ("ENOSPC",)),
    ("The importer got killed by SIGKILL", ("SIGKILL",)),
    ("Exception Type:  EXC_BAD_ACCESS (SIGSEGV)\nException Codes: KERN_INVALID_ADDRESS at 0x0000000000000010", ("EXC_BAD_ACCESS", "SIGSEGV")),
    ("pods of the ingest deployment are in CrashLoopBackOff since 14:00", ("CrashLoopBackOff",)),
    ("Back-off pulling image, ImagePullBackOff on all three nodes", ("ImagePullBackOff",)),
    ("container was OOMKilled with exit code 137", ("OOMKilled", "exit code 137")),
    ("An error occurred (AccessDenied) when calling the PutObject operation: Access Denied", ("AccessDenied",)),
    ("botocore ThrottlingException: Rate exceeded", ("ThrottlingException",)),
    # exceptions in prose and traces
    ("We get a java.lang.NullPointerException whenever we press save", ("NullPointerException",)),
    ("App closes. It says System.InvalidOperationException: Sequence contains no elements", ("InvalidOperationException",)),
    ("KeyError: 'customer_id' in the webhook consumer", ("KeyError",)),
    ("Uncaught TypeError: Cannot read properties of undefined (reading 'total')", ("TypeError",)),
    ("ActiveRecord::RecordNotFound for every archived project", ("RecordNotFound",)),
    ("django.db.utils.OperationalError: could not connect to server", ("OperationalError",)),
    ("the sync throws StripeSignatureVerificationError since we rotated the key", ("StripeSignatureVerificationError",)),
    ("""Export fails with:
java.lang.IllegalStateException: Cart is empty
	at com.acme.shop.checkout.CartService.total(CartService.java:88)
	at com.acme.shop.checkout.CheckoutController.pay(CheckoutController.java:41)
	at org.springframework.web.method.support.InvocableHandlerMethod.doInvoke(InvocableHandlerMethod.java:205)
""", ("IllegalStateException at CartService.total", "IllegalStateException")),
    ("""org.springframework.web.util.NestedServletException: Request processing failed
	at org.springframework.web.servlet.FrameworkServlet.processRequest(FrameworkServlet.java:1014)
	at javax.servlet.http.HttpServlet.service(HttpServlet.java:634)
Caused by: java.lang.NullPointerException: null
	at com.acme.billing.InvoiceRenderer.lambda$render$3(InvoiceRenderer.java:112)
	at com.acme.billing.InvoiceRenderer.render(InvoiceRenderer.java:97)
	... 42 more""", ("NullPointerException at InvoiceRenderer.render", "NullPointerException")),
    ("""Traceback (most recent call last):
  File "/usr/lib/python3.11/site-packages/flask/app.py", line 2190, in wsgi_app
    response = self.full_dispatch_request()
  File "/srv/shop/orders/pricing.py", line 57, in net_price
    return total / quantity
ZeroDivisionError: division by zero""", ("ZeroDivisionError at pricing.net_price", "ZeroDivisionError")),
    ("""TypeError: Cannot read properties of null (reading 'id')
    at CartPage.renderRow (https://cdn.acme.test/static/js/main.3f2a1b.js:2:18231)
    at Array.map (<anonymous>)
    at CartPage.render (https://cdn.acme.test/static/js/main.3f2a1b.js:2:19002)""", ("TypeError at CartPage.renderRow", "TypeError")),
    ("""System.NullReferenceException: Object reference not set to an instance of an object.
   at Acme.Reports.PdfWriter.WriteHeader(Document doc) in C:\\build\\Acme.Reports\\PdfWriter.cs:line 210
   at System.Threading.Tasks.Task.Execute()""", ("NullReferenceException at PdfWriter.WriteHeader", "NullReferenceException")),
    ("""System.Reflection.TargetInvocationException: Exception has been thrown by the target of an invocation. ---> Acme.Licensing.LicenseExpiredException: licence ended
   at Acme.Licensing.LicenseGuard.Check(Guid id)
   --- End of inner exception stack trace ---
   at System.RuntimeMethodHandle.InvokeMethod(Object target)""", ("LicenseExpiredException at LicenseGuard.Check", "LicenseExpiredException")),
    ("""NoMethodError (undefined method `upcase' for nil:NilClass):
  app/models/address.rb:31:in `normalise'
  app/controllers/addresses_controller.rb:12:in `create'
""", ("NoMethodError at address.normalise", "NoMethodError")),
    ("""panic: runtime error: index out of range [5] with length 3

goroutine 1 [running]:
main.(*Parser).next(0xc000010250)
	/home/build/parser.go:88 +0x1d
main.main()
	/home/build/main.go:12 +0x25
exit status 2""", ("panic: runtime error: index out of range at Parser.next", "exit code 2")),
    ("""Program received signal SIGSEGV, Segmentation fault.
#0  0x00007ffff7a42428 in parse_header (buf=0x0, len=12) at src/http.c:142
#1  0x0000000000401b2e in main (argc=2, argv=0x7ffe) at src/main.c:20""", ("SIGSEGV at parse_header", "SIGSEGV")),
    ("""*** Terminating app due to uncaught exception 'NSInvalidArgumentException', reason: '-[__NSCFConstantString objectAtIndex:]: unrecognized selector sent to instance 0x10b2c'
0   CoreFoundation   0x000000010a2b4 __exceptionPreprocess + 350
1   libobjc.A.dylib  0x0000000109d2a objc_exception_throw + 48
2   AcmeShop         0x0000000104c11 -[BasketViewController reloadRows:] + 84
3   UIKitCore        0x0000000110000 -[UIViewController loadView] + 12""", ("NSInvalidArgumentException at BasketViewController.reloadRows", "NSInvalidArgumentException")),
    ("thread 'main' panicked at 'called `Option::unwrap()` on a `None` value', src/cache.rs:88:14", ("panic: called `Option::unwrap()` on a `None` value",)),
    ("""Fatal error: unhandled
System.ArgumentNullException: Value cannot be null. Parameter name: key
  at MonoDevelop.Projects.SolutionCache.Lookup (System.String key) [0x0001f] in /Users/builder/src/SolutionCache.cs:77
  at (wrapper managed-to-native) System.Object.__icall_wrapper ()""", ("ArgumentNullException at SolutionCache.Lookup", "ArgumentNullException")),
    # gRPC, HTTP, SMTP, exit
    ("rpc error: code = DeadlineExceeded desc = context deadline exceeded", ("DEADLINE_EXCEEDED",)),
    ("UNAVAILABLE: upstream connect error or disconnect/reset before headers", ("UNAVAILABLE",)),
    ("The API answers with HTTP 429 as soon as we send more than ten calls", ("HTTP 429",)),
    ("500 Internal Server Error on the invoices page", ("HTTP 500",)),
    ("POST /v1/orders 503 Service Unavailable", ("HTTP 503",)),
    ("I keep getting a 403 when opening shared dashboards", ("HTTP 403",)),
    ("the page shows error 404 for every bookmark", ("HTTP 404",)),
    ("Request failed with status code 401", ("HTTP 401",)),
    ("HTTP/1.1 502 Bad Gateway from the checkout proxy", ("HTTP 502",)),
    ("550 5.7.1 Unable to relay for our domain, mail comes back", ("SMTP 5.7.1",)),
    ("Mails to Gmail bounce: 421-4.7.28 unusual rate of unsolicited mail", ("SMTP 4.7.28",)),
    ("The build agent stops: Process completed with exit code 1.", ("exit code 1",)),
    ("the script exited with status 127, command not found", ("exit code 127",)),
    # vendor codes and words
    ("At checkout my card is refused with PAY-4031, the bank says all is fine", ("PAY-4031",)),
    ("E-4031 appears on the handheld when scanning a second pallet", ("E-4031",)),
    ("The printer shows E1042 and the red lamp", ("E1042",)),
    ("screen: SYNC-2207 could not lock record", ("SYNC-2207",)),
    ("Login gave me AUTH-0042, then it worked, then AUTH-0042 again", ("AUTH-0042",)),
    ("My thermostat says error code 87 and stays cold", ("error 87",)),
    ("Beim Speichern kommt Fehlercode 4711, danach ist die Maske leer", ("error 4711",)),
    ("Impossible d'ouvrir le fichier, code d'erreur : 1223", ("error 1223",)),
    ("Al pagar aparece el código de error 9005", ("error 9005",)),
    ("O aplicativo mostra código de erro 318 ao entrar", ("error 318",)),
    ("L'app si chiude con codice errore 2044", ("error 2044",)),
    ("Foutcode 3310 bij het inloggen", ("error 3310",)),
    ("ログイン時にエラーコード 5021 が表示されます", ("error 5021",)),
    ("登录时提示错误代码：60012", ("error 60012",)),
    ("Error #2032 while loading the video", ("error 2032",)),
    ("Error Code: PAYMENT_METHOD_EXPIRED shown to all annual customers", ("PAYMENT_METHOD_EXPIRED",)),
    ("Fehler PAY-4031 beim Bezahlen", ("PAY-4031",)),
    # several neighbours
    ("First HTTP 504, later the log has ORA-12170 and ECONNRESET", ("ORA-12170", "ECONNRESET", "HTTP 504")),
    ("order 88213 failed with PAY-2290 on 2024-02-11", ("PAY-2290",)),
    ("version 5.2.0 gives E-7001, version 5.1.9 was fine", ("E-7001",)),
    ("invoice 20931: error code 553 in step 4", ("error 553",)),
    ("Call me at +49 30 1234567, error 0x80070057 blocks us", ("0x80070057",)),
    ("ticket SUP-1182 was closed but MSB4018 is back", ("MSB4018",)),
    ("Line 40 of the import file: CSV-0310 bad delimiter", ("CSV-0310",)),
    ("page 3 shows ERR_BLOCKED_BY_CLIENT", ("ERR_BLOCKED_BY_CLIENT",)),
    # traps: nothing to be found
    ("How do I change the address on my invoice?", ()),
    ("My order 4031 has not arrived, tracking number 1Z999AA10123456784", ()),
    ("Please cancel order #500 and refund $404.00", ()),
    ("We added 500 users last week and 404 of them are active", ()),
    ("Is your service ISO-27001 certified? Do you support TLS-1.2 and SHA-256?", ()),
    ("We plan the rollout for Q3-2024, pricing for 1,200 seats please", ()),
    ("See https://status.acme.test/incidents/ERR-5501?code=500 for yesterday", ()),
    ("Any news on SUP-4410? It is open since May.", ()),
    ("Call me back on 555-0142 or +1 415 555 0142", ()),
    ("My serial number is SN-40318841, model HX-2200", ()),
    ("Update to version 10.15.7 is offered, should I take it?", ()),
    ("The server is at 192.168.10.44, port 5432", ()),
    ("device id 3f2504e0-4f89-11d3-9a0c-0305e82c3301 must be removed", ()),
    ("I live at 500 Main Street, room 404, zip 50321", ()),
    ("On page 12, step 4 the manual is wrong", ()),
    ("Meeting 2024-05-03 at 14:30, dial-in PIN 4031", ()),
    ("Account 500123, customer no. 40310 wants the annual plan", ()),
    ("Could you export UTF-8 instead of ISO-8859-1?", ()),
    ("The part number is AB-1234, do you stock it?", ()),
    ("Can I use WPA-2 with the new router? It is an AC-1900.", ()),
    ("reference INV-2024-00871 was paid twice", ()),
    ("We use Windows 10 and Office 365, Chrome 120", ()),
    ("The exception to this rule is the free plan", ()),
    ("I made an error when ordering, please change it to 2 pieces", ()),
    ("Our signal was weak so I aborted the upload", ()),
    ("The status of my case 500321 is unknown", ()),
    ("I paid 401 EUR for 12 months", ()),
    ("Our fiscal year FY-2023 numbers differ by 3.5.1 percent", ()),
    ("please unlock <email>, phone <phone>, token <token>", ()),
    ("COVID-19 rules changed, how do we book?", ()),
    ("the update KB5034441 is it needed?", ()),
    ("We are affected by CVE-2021-44228, are you?", ()),
    ("mp3 and H-264 files, which do you accept?", ()),
    ("purchase order PO-77120 and RMA-33120 belong together", ()),
    ("is the A320 / B737 data in the flight export?", ()),
    ("Set timeout to 500 and retries to 404 in the config please", ()),
    ("Can you raise our limit to 503 requests?", ()),
    ("sha 3f2a1b9c0d4e5f60718293a4b5c6d7e8f9012345 is the commit we run", ()),
    ("Typing error in the German text on the home page", ()),
    ("I'm abroad, flight LH-2044 on Friday, so answer by mail", ()),
)  # fmt: skip

TUNING: tuple[Text, ...] = ()
