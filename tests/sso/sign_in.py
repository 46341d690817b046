"""A browser that signs in at muster through providers whose pages are forms. Standard library only.

sign_in.py MUSTER PROVIDER USER PASSWORD EMAIL [--logout]
"""

import html.parser
import http.cookiejar
import json
import sys
import urllib.error
import urllib.parse
import urllib.request


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Forms(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.forms = []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "form":
            action, method = attrs.get("action", ""), attrs.get("method", "get").lower()
            self.forms.append({"action": action, "method": method, "fields": {}})
        if tag in ("input", "button") and self.forms and attrs.get("name") and attrs.get("type") != "checkbox":
            self.forms[-1]["fields"][attrs["name"]] = attrs.get("value", "")


class Browser:
    """Python's cookie jar sends no `Secure` cookies to 127.0.0.1, as browsers do; those of muster are kept apart."""

    def __init__(self, muster):
        self.muster, self.cookies = muster, {}
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.opener = urllib.request.build_opener(NoRedirect, jar)
        self.plain = urllib.request.build_opener(NoRedirect)

    def ask(self, url, data=None, method=None):
        request = urllib.request.Request(url, method=method)
        if data is not None:
            request.data = urllib.parse.urlencode(data).encode()
        is_muster = url.startswith(self.muster + "/")
        if is_muster:
            request.add_header("Cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
            request.add_header("Origin", self.muster)
        try:
            response = (self.plain if is_muster else self.opener).open(request, timeout=20)
        except urllib.error.HTTPError as error:
            response = error
        if is_muster:
            for cookie in response.headers.get_all("Set-Cookie") or []:
                name, value = cookie.split(";")[0].split("=", 1)
                assert all(part in cookie for part in ("Path=/", "Secure", "HttpOnly", "SameSite=Lax")), cookie
                self.cookies.pop(name, None)
                if "Max-Age=0" not in cookie:
                    self.cookies[name] = value
        return response.status, response.headers, response.read().decode("utf-8", "replace")

    def walk(self, url, fill, until):
        """Follows redirects and fills forms until a URL begins with one of `until`; that one is not opened."""
        data = None
        for _ in range(25):
            status, headers, body = self.ask(url, data)
            if status in (301, 302, 303, 307):
                url, data = urllib.parse.urljoin(url, headers["Location"]), None
                if any(url.startswith(end) for end in until):
                    return url
                continue
            forms = Forms()
            forms.feed(body)
            form = next((form for form in forms.forms if form["method"] == "post"), None)
            if form is None:
                sys.exit(f"{url} answered {status} without a form:\n{body[:2000]}")
            data = fill(dict(form["fields"]))
            url = urllib.parse.urljoin(url, form["action"] or url)
        sys.exit("no end")


def main():
    muster, provider, user, password, email = sys.argv[1:6]

    def fill(fields):
        for name in fields:
            if name in ("login", "username", "user", "email", "sub"):
                fields[name] = user
            if name == "password":
                fields[name] = password
        if "answer" in fields:
            fields["answer"] = "accept"
        if "allow" in fields:
            fields["allow"] = "Authorize"
        return fields

    browser = Browser(muster)
    start = f"{muster}/sso/default/{provider}/start"
    callback = f"{muster}/sso/default/{provider}/callback"
    back = browser.walk(start, fill, [callback])
    status, headers, body = browser.ask(back)
    assert status == 303 and headers["Location"] == "../../../sign-in/check", f"{status} {headers['Location']}\n{body[:2000]}"
    assert browser.ask(f"{muster}/sign-in/check")[0] == 303
    status, _, body = browser.ask(f"{muster}/api/v2/userinfo/")
    assert status == 200 and json.loads(body)["result"]["email"] == email, body
    # The same response again: the person is signed in already. In another browser, it is worth nothing.
    assert browser.ask(back)[0] == 303
    assert Browser(muster).ask(back)[0] == 400
    if "--logout" in sys.argv:
        status, _, body = browser.ask(f"{muster}/api/v2/users/logout", method="POST")
        url = json.loads(body)["result"]["entra_logout_url"]
        end = browser.walk(url, lambda fields: {**fields, "logout": "yes"}, [f"{muster}/sign-in"])
        assert end.startswith(f"{muster}/sign-in"), end
    print(f"ok: {provider}")


main()
