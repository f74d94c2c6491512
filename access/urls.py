"""The paths of signing in and out."""

from django.urls import path

from access import views

urlpatterns = [
    path("dashboard/sign-in", views.sign_in, name="sign_in"),
    path("dashboard/sign-out", views.sign_out, name="sign_out"),
]
