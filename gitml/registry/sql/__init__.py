"""Queries as the source of a version: ask a database once, read-only, and write what comes back as Parquet.

:mod:`query` plans and carries out; :mod:`postgresql` and :mod:`sqlite` each speak to one kind of database;
:mod:`columns` says which types a result may have; :mod:`parquet` writes it. All but the first import SDKs of the
extra `sql`, and are imported only when a query is asked.
"""
