"""The pages of the demo site."""

from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path

from project import views

urlpatterns = [
    path("", views.home, name="home"),
    path("rooms/<slug:slug>/", views.room, name="room"),
    path("favicon.ico", views.icon),
    path("accounts/login/", views.Login.as_view(), name="login"),
    path("accounts/logout/", auth.LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    path("realtime/", include("realtime.urls")),
]
