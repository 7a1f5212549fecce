"""Wire formats: records to payloads, as templates that the native core runs, and back.

`native` declares our own JSON and compiles it; `decode` reads it, for clients and as the tests'
oracle.
"""
