"""Settings of the demo site.

Read from the environment, none of it needed for `python manage.py demo`: `DEBUG` (on only while there is no
`SECRET_KEY`), `SECRET_KEY`, `ALLOWED_HOSTS` and `CSRF_TRUSTED_ORIGINS` (separated by commas), `DATABASE_URL`, `REDIS_URL`,
`HTTPS` (behind a proxy that speaks it), `TRUSTED_PROXIES` (its addresses, separated by commas), `HSTS_SECONDS`, `METRICS_TOKEN`.
"""

import os
from pathlib import Path
from typing import Any

import dj_database_url

from project import environment

BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = environment.boolean("DEBUG", default="SECRET_KEY" not in os.environ)
SECRET_KEY = environment.secret_key(DEBUG, keep_in=BASE_DIR / ".dev-secret-key")
ALLOWED_HOSTS = environment.words("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = environment.words("CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "channels",
    "realtime",
    "project",
]

MIDDLEWARE = [
    "project.middleware.ContentSecurityPolicy",
    "django.middleware.security.SecurityMiddleware",
    "project.middleware.StaticFiles",
    "project.middleware.ReadableCookies",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "project.urls"
ASGI_APPLICATION = "project.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]


def database(url: str) -> dict[str, Any]:
    """The connection for this URL, with the options that a realtime site wants of its engine."""
    found: dict[str, Any] = dict(dj_database_url.parse(url))
    options = found.setdefault("OPTIONS", {})
    if found["ENGINE"].endswith(("postgresql", "postgis")):
        # Under ASGI a connection that is kept belongs to a thread that may never come back; a pool does not.
        options.setdefault("pool", True)
    elif found["ENGINE"].endswith("sqlite3"):
        # IMMEDIATE: a read that turns into a write waits for its turn instead of failing at once with "locked".
        options.setdefault("transaction_mode", "IMMEDIATE")
        options.setdefault("timeout", 20)
        options.setdefault("init_command", "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;")
    return found


def channel_layer(redis_url: str) -> dict[str, Any]:
    """Redis where there is one; else this process's memory, and the log's safety net for the others."""
    if not redis_url:
        return {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    return {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [redis_url]},
    }


DATABASES = {"default": database(os.environ.get("DATABASE_URL") or f"sqlite:///{BASE_DIR / 'db.sqlite3'}")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CHANNEL_LAYERS = {"default": channel_layer(os.environ.get("REDIS_URL", ""))}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "home"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_AUTOREFRESH = WHITENOISE_USE_FINDERS = DEBUG
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "project.storage.HashedStaticFiles"
    },
}

# Behind a proxy that speaks https and says so. The health check is asked from inside, without it.
HTTPS = environment.boolean("HTTPS", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_HSTS_SECONDS = int(os.environ.get("HSTS_SECONDS") or 3600) if HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_REDIRECT_EXEMPT = [r"^realtime/(health|metrics)$"]

REALTIME = {
    "METRICS_TOKEN": os.environ.get("METRICS_TOKEN", ""),
    "TRUSTED_PROXIES": environment.words("TRUSTED_PROXIES"),
}
