"""Runs the migrations on the connection that :meth:`Database.create` hands over."""

from alembic import context

from mycelium_fractal_net.security.key_store.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
context.run_migrations()
