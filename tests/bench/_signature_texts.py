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

TUNING: tuple[Text, ...] = (
    # identity, databases
    ("SSO broken for the Lyon office: AADSTS50105 the signed in user is not assigned to a role for the application", ("AADSTS50105",)),
    ("AADSTS65001: The user or administrator has not consented. Then also AADSTS90094.", ("AADSTS65001", "AADSTS90094")),
    ("AADSTS is what, please? My colleague mentioned it.", ()),
    ("Import stops with ORA-00001: unique constraint (APP.PK_ORDERS) violated", ("ORA-00001",)),
    ("java.sql.SQLException: ORA-12899: value too large for column \"APP\".\"CITY\" (actual: 41, maximum: 40)", ("ORA-12899", "SQLException")),
    ("TNS-03505 failed to resolve name; tnsping works from my PC", ("TNS-03505",)),
    ("the ora-600 internal error code is back, arguments: [kdsgrp1]", ("ORA-00600",)),
    ("Flora-12 is the name of our test group", ()),
    ("pg: ERROR: duplicate key value violates unique constraint, SQLSTATE: 23505", ("SQLSTATE 23505",)),
    ("SQLSTATE[42S22]: Column not found: 1054 Unknown column 'plan'", ("SQLSTATE 42S22",)),
    ("Msg 547, Level 16, State 0, Line 4. The DELETE statement conflicted with the REFERENCE constraint", ("Msg 547",)),
    ("ERROR 1064 (42000) at line 12: You have an error in your SQL syntax", ("MySQL 1064",)),
    ("SQL0204N  \"ACME.PRICES\" is an undefined name.  SQLSTATE=42704", ("SQL0204N", "SQLSTATE 42704")),
    ("com.ibm.db2.jcc.am.SqlException: DB2 SQL Error: SQLCODE: -204", ("SQLCODE -204", "SqlException")),
    # npm, browsers
    ("npm ERR! code ENOENT\nnpm ERR! syscall open\nnpm ERR! path /builds/web/package.json", ("npm ENOENT",)),
    ("npm error code E404\nnpm error 404 Not Found - GET https://registry.acme.test/@acme%2fui", ("npm E404", "HTTP 404")),
    ("This site can't be reached ERR_NAME_NOT_RESOLVED", ("ERR_NAME_NOT_RESOLVED",)),
    ("(failed)net::ERR_HTTP2_PROTOCOL_ERROR on the PDF download", ("ERR_HTTP2_PROTOCOL_ERROR",)),
    ("PR_END_OF_FILE_ERROR in Firefox, ERR_SSL_PROTOCOL_ERROR in Chrome", ("PR_END_OF_FILE_ERROR", "ERR_SSL_PROTOCOL_ERROR")),
    ("MOZILLA_PKIX_ERROR_SELF_SIGNED_CERT on the intranet", ("MOZILLA_PKIX_ERROR_SELF_SIGNED_CERT",)),
    ("DNS_PROBE_POSSIBLE since the VPN client update", ("DNS_PROBE_POSSIBLE",)),
    ("NS_ERROR_NET_INADEQUATE_SECURITY, only on the staging host", ("NS_ERROR_NET_INADEQUATE_SECURITY",)),
    ("node: Error [ERR_REQUIRE_ESM]: require() of ES Module not supported", ("ERR_REQUIRE_ESM",)),
    # Windows
    ("STOP code: DRIVER_IRQL_NOT_LESS_OR_EQUAL (netwtw10.sys)", ("DRIVER_IRQL_NOT_LESS_OR_EQUAL",)),
    ("BSOD with STOP 0x0000009F while resuming", ("STOP 0x9F",)),
    ("CRITICAL_PROCESS_DIED twice today", ("CRITICAL_PROCESS_DIED",)),
    ("0x80004005 unspecified error when mapping the drive", ("0x80004005",)),
    ("Activation fails, 0xC004F074, the KMS host is reachable", ("0xC004F074",)),
    ("The update 0xC1900101 - 0x20017 rolled back", ("0xC1900101",)),
    ("HRESULT: 0x80131040 assembly manifest mismatch", ("0x80131040",)),
    ("the pointer value is 0x7ffe1234 and the base 0x00400000", ()),
    ("COMException: E_FAIL from the scanner driver", ("E_FAIL", "COMException")),
    ("DXGI_ERROR_DEVICE_REMOVED when the dashboard opens on the second monitor", ("DXGI_ERROR_DEVICE_REMOVED",)),
    ("RPC_E_DISCONNECTED The object invoked has disconnected from its clients", ("RPC_E_DISCONNECTED",)),
    ("ERROR_SHARING_VIOLATION on the exported workbook", ("ERROR_SHARING_VIOLATION",)),
    ("Set ERROR_LOG_PATH and ERROR_LEVEL in the ini file?", ()),
    ("STATUS_ACCESS_VIOLATION crash tab in Edge", ("STATUS_ACCESS_VIOLATION",)),
    ("What does STATUS_BAR_HEIGHT mean in the theme file?", ()),
    # compilers and product ids
    ("error MSB4019: The imported project was not found. Confirm the path.", ("MSB4019",)),
    ("CS1061 and CS0103 all over the generated client", ("CS1061", "CS0103")),
    ("error TS7016: Could not find a declaration file for module 'acme'", ("TS7016",)),
    ("WFLYCTL0013: Operation (\"add\") failed", ("WFLYCTL0013",)),
    ("CWPKI0022E: SSL HANDSHAKE FAILURE", ("CWPKI0022E",)),
    ("error MT0091: This version requires the iOS 10.3 SDK", ("MT0091",)),
    ("error XA5209: Unzipping failed, please download", ("XA5209",)),
    ("NU1605 downgrade detected after restore", ("NU1605",)),
    ("fatal error C1083: Cannot open include file: 'zlib.h'", ("C1083",)),
    ("error[E0499]: cannot borrow `*self` as mutable more than once at a time", ("E0499",)),
    ("error: internal compiler error: src/librustc/middle/ty.rs:412: unexpected type in region check", ("ICE: unexpected type in region check",)),
    ("internal compiler error: Segmentation fault\nPlease submit a full bug report, gcc 4.8", ("ICE: Segmentation fault",)),
    ("Our CS department has 12 people, the TS group 20", ()),
    # errno, signals, kubernetes, cloud
    ("Error: getaddrinfo ENOTFOUND api.acme.test", ("ENOTFOUND",)),
    ("listen EADDRINUSE: address already in use :::3000", ("EADDRINUSE",)),
    ("ETIMEDOUT when our warehouse posts to you", ("ETIMEDOUT",)),
    ("EACCES: permission denied, open '/var/lib/acme/lock'", ("EACCES",)),
    ("The helper dies with SIGABRT on quit", ("SIGABRT",)),
    ("Termination Reason: EXC_CRASH (SIGABRT)", ("EXC_CRASH", "SIGABRT")),
    ("ErrImagePull then ImagePullBackOff in namespace prod", ("ErrImagePull", "ImagePullBackOff")),
    ("status shows CreateContainerConfigError since the secret was rotated", ("CreateContainerConfigError",)),
    ("S3 answers SlowDown, please reduce your request rate", ("SlowDown",)),
    ("com.amazonaws.services.dynamodbv2.model.ProvisionedThroughputExceededException: The level was exceeded", ("ProvisionedThroughputExceededException",)),
    ("SignatureDoesNotMatch on presigned uploads from Safari", ("SignatureDoesNotMatch",)),
    ("Please slow down the emails you send us", ()),
    # exceptions in prose and traces
    ("null pointer exception when opening the wizard", ("NullPointerException",)),
    ("System.Data.SqlClient.SqlException (0x80131904): Timeout expired", ("0x80131904", "SqlException")),
    ("we see a TimeoutError and sometimes ConnectionError in the agent", ("TimeoutError", "ConnectionError")),
    ("Unhandled: OrderNotBillableException for every subscription in Norway", ("OrderNotBillableException",)),
    ("PG::UniqueViolation when two people save at once", ("UniqueViolation",)),
    ("Is there an OnError callback or a GetLastError function in the SDK?", ()),
    ("ErrorHandler and ExceptionFilter are in which package?", ()),
    ("The file ImportError.log is empty", ()),
    ("""2024-05-06 10:11:12,345 ERROR [http-nio-8080-exec-7] c.a.api.ApiAdvice - unhandled
java.lang.ArrayIndexOutOfBoundsException: Index 5 out of bounds for length 5
	at com.acme.importer.CsvReader$Row.get(CsvReader.java:61) ~[app.jar!/:na]
	at com.acme.importer.CsvReader.lambda$map$0(CsvReader.java:44) ~[app.jar!/:na]
	at java.base/java.util.stream.ReferencePipeline$3$1.accept(ReferencePipeline.java:197)""", ("ArrayIndexOutOfBoundsException at Row.get", "ArrayIndexOutOfBoundsException")),
    ("""org.hibernate.exception.ConstraintViolationException: could not execute statement
	at org.hibernate.exception.internal.SQLStateConversionDelegate.convert(SQLStateConversionDelegate.java:129)
	at com.acme.crm.ContactRepository$$EnhancerBySpringCGLIB$$1f2.save(<generated>)
	at com.acme.crm.ContactService.store(ContactService.java:70)
Caused by: org.postgresql.util.PSQLException: ERROR: null value in column "email"
	at org.postgresql.core.v3.QueryExecutorImpl.receiveErrorResponse(QueryExecutorImpl.java:2440)
	... 12 more""", ("PSQLException at ContactRepository.save", "PSQLException")),
    ("""Traceback (most recent call last):
  File "sync.py", line 12, in fetch
    page = client.get(url)
acme.errors.RateLimited: slow down

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "sync.py", line 20, in <module>
    main()
  File "sync.py", line 16, in main
    raise SyncFailedError("giving up")
SyncFailedError: giving up""", ("RateLimited at sync.fetch", "RateLimited")),
    ("""Uncaught (in promise) ReferenceError: analytics is not defined
    at https://app.acme.test/js/vendor.js:1:442
    at submitForm (https://app.acme.test/js/form.js:88:13)
    at HTMLButtonElement.onclick (https://app.acme.test/:12:5)""", ("ReferenceError at submitForm", "ReferenceError")),
    ("""Error: boom
    at Object.<anonymous> (/srv/worker/index.js:3:9)
    at Module._compile (node:internal/modules/cjs/loader:1105:14)
RangeError: Invalid time value
    at Date.toISOString (<anonymous>)
    at formatDay (/srv/worker/lib/format.js:10:20)
    at Queue.run (/srv/worker/node_modules/bull/queue.js:80:3)""", ("RangeError at formatDay", "RangeError")),
    ("""System.InvalidCastException: Unable to cast object
   at Acme.Pos.Till.<OpenAsync>d__12.MoveNext() in D:\\a\\Till.cs:line 31
--- End of stack trace from previous location where exception was thrown ---
   at System.Runtime.CompilerServices.TaskAwaiter.ThrowForNonSuccess(Task task)
   at Acme.Pos.Shell.<>c__DisplayClass4_0.<Start>b__0() in D:\\a\\Shell.cs:line 9""", ("InvalidCastException at Till.OpenAsync", "InvalidCastException")),
    ("""/app/lib/billing/tax.rb:19:in `rate_for': undefined method `zip' for nil (NoMethodError)
	from /app/lib/billing/invoice.rb:44:in `block in total'
	from /usr/local/bundle/gems/rack-2.2/lib/rack.rb:1:in `call'""", ("NoMethodError at tax.rate_for", "NoMethodError")),
    ("""fatal error: all goroutines are asleep - deadlock!

goroutine 1 [chan receive]:
github.com/acme/agent/queue.(*Queue).Pop(...)
	/src/queue/queue.go:51""", ("panic: all goroutines are asleep - deadlock! at Queue.Pop", "panic: all goroutines are asleep - deadlock!")),
    ("""Thread 1 "acmed" received signal SIGABRT, Aborted.
#0  __GI_raise (sig=sig@entry=6) at ../sysdeps/unix/sysv/linux/raise.c:50
#1  0x00007ffff7a22859 in __GI_abort () at abort.c:79
#2  0x0000555555561234 in acme::Codec::decode(std::vector<int> const&) (this=0x0) at codec.cpp:99
#3  0x0000555555561999 in main () at main.cpp:5""", ("SIGABRT at Codec.decode", "SIGABRT")),
    ("""Exception Type:        EXC_BAD_ACCESS (SIGSEGV)
Thread 0 Crashed:
0   libobjc.A.dylib               	0x00007fff20185e2d objc_release + 29
1   AcmeNotes                     	0x000000010f3b2c11 -[NoteStore flush] + 140
2   AppKit                        	0x00007fff22c1 -[NSApplication run] + 586""", ("EXC_BAD_ACCESS at NoteStore.flush", "EXC_BAD_ACCESS", "SIGSEGV")),
    ("""thread 'main' panicked at 'index out of bounds: the len is 3 but the index is 7', src/main.rs:9
stack backtrace:
   0:     0x7f0a1c - std::sys::backtrace::tracing::imp::write::h0123456789abcdef
   1:     0x7f0a2b - core::panicking::panic_bounds_check::h0123456789abcdef
   2:     0x7f0a3c - acme_parser::lexer::Lexer::next_token::h0123456789abcdef
   3:     0x7f0a4d - main""", ("panic: index out of bounds: the len at Lexer.next_token", "panic: index out of bounds: the len")),
    ("""thread 'tokio-runtime-worker' panicked at src/db.rs:31:9:
connection pool exhausted
note: run with `RUST_BACKTRACE=1`""", ("panic: connection pool exhausted",)),
    ("""* Assertion at ../../mono/metadata/class.c:5597, condition `class' not met

Stacktrace:
  at <unknown> <0xffffffff>""", ("assertion: class",)),
    ("""Unhandled Exception:
System.TypeInitializationException: The type initializer for 'Acme.Locale' threw an exception. ---> System.IO.FileNotFoundException: Could not load
  at Acme.Locale..cctor () [0x00000] in <filename unknown>:0
  --- End of inner exception stack trace ---
  at Acme.Program.Main (System.String[] args) [0x00000] in <filename unknown>:0""", ("FileNotFoundException at Locale.cctor", "FileNotFoundException")),
    # gRPC, HTTP, SMTP, exit
    ("status: RESOURCE_EXHAUSTED: quota metric exceeded", ("RESOURCE_EXHAUSTED",)),
    ("rpc error: code = PermissionDenied desc = caller lacks role", ("PERMISSION_DENIED",)),
    ("INTERNAL use only, please do not forward", ()),
    ("https://api.acme.test/v2/orders answers 504 Gateway Timeout", ("HTTP 504",)),
    ("HTTP status 413 when attaching the drawing", ("HTTP 413",)),
    ("Your API returned a 422 for a valid address", ("HTTP 422",)),
    ("Error 503 first byte timeout, Varnish cache server", ("HTTP 503",)),
    ("curl: (22) The requested URL returned error: 403", ("HTTP 403",)),
    ("statusCode=500 message=oops", ("HTTP 500",)),
    ("500 errors everywhere since the deploy", ("HTTP 500",)),
    ("(404) Not Found while fetching the font", ("HTTP 404",)),
    ("We sent 500 emails and 404 were opened", ()),
    ("a 500 GB disk and a 404 g package", ()),
    ("The plan with 500 contacts costs how much?", ()),
    ("450 4.2.1 mailbox temporarily unavailable, greylisted", ("SMTP 4.2.1",)),
    ("NDR says status 5.1.10 recipient not found", ("SMTP 5.1.10",)),
    ("we run firmware 5.7.1 on the bridge", ()),
    ("Command failed with exit code 128: git fetch", ("exit code 128",)),
    ("make: *** [all] Error 2, the job returned exit status 2", ("exit code 2",)),
    ("process finished with exit code 0, all good", ()),
    ("Take exit 14 and turn left, the office is there", ()),
    ("gradle exited with 143 during lint", ("exit code 143",)),
    # vendor codes and words
    ("Terminal shows PAY-1107 after tapping the card", ("PAY-1107",)),
    ("BILL-0031 / BILL-0032 alternate when I refresh", ("BILL-0031", "BILL-0032")),
    ("washer blinks E-18, what is it", ()),
    ("dishwasher error E24, water stays in", ("E24",)),
    ("error code F07 on the oven display", ("F07",)),
    ("[LIC-2001] licence server unreachable", ("LIC-2001",)),
    ("Code: APP-CORE-1029 contact support", ("APP-CORE-1029",)),
    ("E2034 on the controller panel, then it reboots", ("E2034",)),
    ("Error code: 0x8007000E not enough memory", ("0x8007000E",)),
    ("error number 4402 after the reboot", ("error 4402",)),
    ("errorCode=70012 in the JSON", ("error 70012",)),
    ("\"error_code\": 1205, \"message\": \"denied\"", ("error 1205",)),
    ("Fehlernummer: 3021 beim Drucken", ("error 3021",)),
    ("Fehler 1402 beim Schreiben in die Registry", ("error 1402",)),
    ("erreur 1603 pendant l'installation", ("error 1603",)),
    ("Le message est : erreur n° 52", ("error 52",)),
    ("codigo de erro: 880 no caixa", ("error 880",)),
    ("Ocorreu o erro 5003 ao sincronizar", ("error 5003",)),
    ("Errore 1935 durante l'installazione", ("error 1935",)),
    ("felkod 2213 när jag loggar in", ("error 2213",)),
    ("kod błędu 10061 przy wysyłce", ("error 10061",)),
    ("Код ошибки: 4015 при входе", ("error 4015",)),
    ("오류 코드 3002 가 나옵니다", ("error 3002",)),
    ("错误码 40029", ("error 40029",)),
    ("error code ACCOUNT_LOCKED_BY_POLICY for the whole team", ("ACCOUNT_LOCKED_BY_POLICY",)),
    ("error code: sync-441 on the tablet", ("SYNC-441",)),
    ("error (code 1309) reading from the source file", ("error 1309",)),
    ("I got error 29 minutes after login", ()),
    ("error rate is 12 percent, error 5 times a day", ()),
    ("There are 14 errors in 300 rows", ()),
    # neighbours
    ("case 40021: AADSTS50076 for user <email> at 10:14", ("AADSTS50076",)),
    ("phone <phone>, IP <ip>, code PAY-3310, order 778812", ("PAY-3310",)),
    ("After 3 minutes and 200 rows the log shows ORA-01653", ("ORA-01653",)),
    ("build 20240311.4: MSB6006: \"cl.exe\" exited with code 2.", ("MSB6006", "exit code 2")),
    ("see https://kb.acme.test/E-1001 but I have E-2002", ("E-2002",)),
    ("Step 2: HTTP 409; Step 3: E-3003", ("E-3003", "HTTP 409")),
    ("TLS-1.3 handshake ends in ERR_SSL_VERSION_OR_CIPHER_MISMATCH", ("ERR_SSL_VERSION_OR_CIPHER_MISMATCH",)),
    ("On 2024-06-01 12:00 line 7 gave CSV-0311", ("CSV-0311",)),
    # traps
    ("Order SO-33810 and delivery note DN-20331 do not match", ()),
    ("our case number is 00412345 at your partner", ()),
    ("Ticket SUP-991 is a duplicate of SUP-870", ()),
    ("My postcode is SW1A-2AA, house 404", ()),
    ("The invoice RE-2024-0815 is missing", ()),
    ("Bestellung 4031 wurde nicht geliefert, Rechnung 500 EUR", ()),
    ("Commande n° 50355 jamais reçue", ()),
    ("We have 4 floors, 503 rooms", ()),
    ("Can I pay by SEPA? IBAN DE89 3704 0044 0532 0130 00", ()),
    ("Is there a discount for 500+ licences in Q4?", ()),
    ("ISO-9001, EN-60601 and RFC-5322 are required by our auditors", ()),
    ("My laptop is a ThinkPad E480, the printer an HP M404", ()),
    ("Which is newer, 4.12.0 or 4.9.3-rc1?", ()),
    ("hash 9f86d081884c7d659a2feaa0c55ad015 does not match the site", ()),
    ("Meet at gate B22, flight AB-1203", ()),
    ("My birthday is 04.03.1980, phone 0221-404500", ()),
    ("GPT-4 or BERT-512, which one do you use?", ()),
    ("F-150 owners club newsletter, unsubscribe me", ()),
    ("The JIRA ticket PLAT-2231 tracks this on our side", ()),
    ("contract number HC-55012, please extend", ()),
    ("SKU TS-1042 is out of stock since MAY-2023", ()),
    ("it's about page 404 of the handbook", ()),
    ("MAC 00:1B:44:11:3A:B7 must be whitelisted", ()),
    ("Exception handling chapter in the docs has a typo", ()),
    ("the Error tab is empty, no status", ()),
    ("set max_connections = 500 and port 5003", ()),
)  # fmt: skip
