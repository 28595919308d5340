"""Customers in the admin, found by their whole e-mail address."""

from __future__ import annotations

from django.contrib import admin

from tests.integrations.django.shop.models import Customer


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):
    list_display = ("name", "email", "level")
    search_fields = ("email__exact",)
    sortable_by = ("name",)
