"""The embedded teacher: a rule-based judge behind a real HTTP server on loopback.

It speaks the chat protocol of the real teachers and scores documented facets of the text itself,
so that the demo, the tests and dry runs need neither a network nor a key. It stands in for a
language model; everything made with it says so. See docs/embedded-teacher.md.
"""
