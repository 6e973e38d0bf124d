from django.urls import include, path

from benchmarks.site import views

urlpatterns = [path("plain/", views.plain), path("publishing/", views.publishing), path("", include("project.urls"))]
