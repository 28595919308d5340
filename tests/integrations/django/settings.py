"""The settings of the site that the tests run in this process: SQLite in memory."""

SECRET_KEY = "for the tests"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "tests.integrations.django.shop",
]
# Tables as the models have them: Django's own forty migrations take two seconds.
MIGRATION_MODULES = dict.fromkeys(("admin", "auth", "contenttypes", "sessions"))
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "tests.integrations.django.urls"
PASSWORD_HASHERS = ["tests.integrations.django.hashers.Quick"]
MFN = {"HOME": "/nonexistent/keys"}  # each test has a keyring of its own
ALLOWED_HOSTS = ["testserver"]
