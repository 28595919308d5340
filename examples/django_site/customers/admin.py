"""Customers in the admin. What is encrypted is searched as a whole, and not sorted by."""

from django.contrib import admin

from customers.models import Customer


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):
    """Search with the whole e-mail address or the whole number, quoted where it has blanks."""

    list_display = ("name", "email", "phone")
    search_fields = ("email__exact", "phone__exact")
    search_help_text = 'The whole address, or the whole number: "+43 1 234" in quotes'
    sortable_by = ("name",)
