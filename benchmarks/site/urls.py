from django.urls import path

from benchmarks.site import views

urlpatterns = [path("plain/", views.plain), path("publishing/", views.publishing)]
