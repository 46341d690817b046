"""A provider of django-oauth-toolkit in one file: django_provider.py PORT; prints its issuer. User cyd, password `correct horse battery`."""

import os
import subprocess
import sys

import django
from django.conf import settings

port = int(sys.argv[1])
host = f"http://127.0.0.1:{port}"
key = subprocess.run(["openssl", "genrsa", "2048"], capture_output=True, text=True, check=True).stdout
LOGIN = (
    '<form method="post">{% csrf_token %}{{ form.as_p }}'
    '<input type="hidden" name="next" value="{{ next }}"><button>in</button></form>'
)
settings.configure(
    SECRET_KEY="test-only",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE"]}},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "oauth2_provider",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                ],
                "loaders": [
                    ("django.template.loaders.locmem.Loader", {"registration/login.html": LOGIN}),
                    "django.template.loaders.app_directories.Loader",
                ],
            },
        }
    ],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
    OAUTH2_PROVIDER={
        "OIDC_ENABLED": True,
        "OIDC_RSA_PRIVATE_KEY": key,
        "PKCE_REQUIRED": True,
        "SCOPES": {"openid": "o", "email": "e", "profile": "p"},
        "OAUTH2_VALIDATOR_CLASS": __name__ + ".Validator",
    },
)
sys.modules["django_provider"] = sys.modules["__main__"]
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.contrib.auth.views import LoginView  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.servers.basehttp import run  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import include, path  # noqa: E402
from oauth2_provider.models import Application  # noqa: E402
from oauth2_provider.oauth2_validators import OAuth2Validator  # noqa: E402


class Validator(OAuth2Validator):
    oidc_claim_scope = None

    def get_additional_claims(self, request):
        user = request.user
        return {"email": user.email, "email_verified": True, "given_name": user.first_name}


urlpatterns = [
    path("accounts/login/", LoginView.as_view()),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
]
call_command("migrate", verbosity=0)
User.objects.create_user("cyd", "cyd@example.com", "correct horse battery", first_name="Cyd")
Application.objects.create(
    name="muster",
    client_id="muster",
    client_secret=os.environ["CLIENT_SECRET"],
    client_type="confidential",
    authorization_grant_type="authorization-code",
    redirect_uris=os.environ["REDIRECT_URI"],
    algorithm="RS256",
    skip_authorization=True,
)
print(f"{host}/o", flush=True)
run("127.0.0.1", port, get_wsgi_application(), threading=True)
