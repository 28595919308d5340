"""Customers in the admin. What is encrypted is searched as a whole, and not sorted by."""

from django.contrib import admin

from customers.models import Customer


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):
    """Search with the whole e-mail address or the whole number."""

    list_display = ("name", "email", "phone")
    search_fields = ("email__exact", "phone__exact")
    sortable_by = ("name",)
