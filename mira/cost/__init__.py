"""What scoring a corpus costs: GPU-hours, money and time from a student's shapes (ours).

``shapes``       a student's sizes, read from its configuration, and what follows from them
``assumptions``  every figure that is not the user's: its value, where it comes from, and why
``work``         what is asked per record, and on what it runs
``lengths``      how long the records are
``prefill``      floating-point work of reading prompts and records
``decoding``     memory, sequences at once and seconds per step of writing answers
``traffic``      what tensor parallelism adds
``plan``         from what a user asks to what is computed
``estimate``     the sum over a corpus
``compare``      the same corpus read and written in other ways
``basis``        what an estimate rests on
``render``       an estimate or a comparison as text
``command``      ``python -m mira scoring cost``

docs/cost.md derives the formulas and says what was measured where.
"""
