"""Small databases with seeded rows, and questions that SQL can answer about each."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from mira.sampling.harvest.draw import Draw

_PEOPLE_TEXT = "Ada Ben Cleo Dev Eva Finn Gia Hal Ivy Jun Kai Lea Max Nia Oto Pia Quin Ria Sol Tom"
PEOPLE = _PEOPLE_TEXT.split()
_CITIES_TEXT = "Bergen Cusco Dakar Graz Hanoi Izmir Kyoto Leeds Malmo Nantes"
CITIES = _CITIES_TEXT.split()


@dataclass(frozen=True)
class Ask:
    """A question with the query that answers it, and a query with a typical slip.

    ``{a}`` and ``{b}`` stand for drawn values. ``tables`` are those worth describing first.
    """

    question: str
    sql: str
    slip: str
    tables: tuple[str, ...]


@dataclass(frozen=True)
class Domain:
    """A schema, a function that fills it, values for ``{a}`` and ``{b}``, and its questions."""

    name: str
    schema: str
    fill: Callable[[sqlite3.Connection, Draw], None]
    values: Callable[[Draw], tuple[object, object]]
    asks: tuple[Ask, ...]


def _fill_shop(db: sqlite3.Connection, draw: Draw) -> None:
    goods = draw.sample(
        ["lamp", "chair", "desk", "mug", "rug", "clock", "vase", "shelf", "bench", "mirror"], 7
    )
    products = [
        (i, g, draw.pick(("home", "office", "garden")), draw.whole(5, 240)) for i, g in _n(goods)
    ]
    customers = [(i, p, draw.pick(CITIES[:5])) for i, p in _n(draw.sample(PEOPLE, 10))]
    orders = [
        (i, draw.whole(1, 10), draw.whole(1, 7), draw.whole(1, 6), _day(draw))
        for i in range(1, draw.whole(40, 70))
    ]
    _insert(db, products=products, customers=customers, orders=orders)


def _fill_library(db: sqlite3.Connection, draw: Draw) -> None:
    titles = draw.sample(
        [
            "Tides",
            "Embers",
            "North",
            "Salt",
            "Orchard",
            "Signals",
            "Granite",
            "Harvest",
            "Lanterns",
            "Rivers",
        ],
        8,
    )
    books = [(i, t, draw.pick(PEOPLE[:5]), draw.whole(1950, 2022)) for i, t in _n(titles)]
    members = [(i, p, draw.whole(2015, 2023)) for i, p in _n(draw.sample(PEOPLE[5:], 9))]
    loans = []
    for i in range(1, draw.whole(35, 60)):
        back = None if draw.chance(0.2) else draw.whole(2, 60)
        loans.append((i, draw.whole(1, 8), draw.whole(1, 9), _day(draw), back))
    _insert(db, books=books, members=members, loans=loans)


def _fill_weather(db: sqlite3.Connection, draw: Draw) -> None:
    stations = [(i, c, draw.whole(3, 1900)) for i, c in _n(draw.sample(CITIES, 6))]
    readings = [
        (i, draw.whole(1, 6), _day(draw), draw.whole(-120, 350) / 10, draw.whole(0, 40))
        for i in range(1, draw.whole(50, 90))
    ]
    _insert(db, stations=stations, readings=readings)


def _fill_school(db: sqlite3.Connection, draw: Draw) -> None:
    pupils = [(i, p, draw.pick(("7a", "7b", "8a"))) for i, p in _n(draw.sample(PEOPLE, 12))]
    names = draw.sample(["algebra", "biology", "history", "music", "physics", "poetry"], 5)
    subjects = [(i, s) for i, s in _n(names)]
    marks = [
        (i, draw.whole(1, 12), draw.whole(1, 5), draw.whole(20, 100))
        for i in range(1, draw.whole(50, 80))
    ]
    _insert(db, pupils=pupils, subjects=subjects, marks=marks)


DOMAINS: tuple[Domain, ...] = (
    Domain(
        "shop",
        "CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT, category TEXT, price INTEGER);"
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, city TEXT);"
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER, product_id INTEGER, "
        "quantity INTEGER, ordered_on TEXT);",
        _fill_shop,
        lambda draw: (draw.whole(20, 150), f"2024-{draw.whole(2, 11):02d}"),
        (
            Ask(
                "Which three products brought the most revenue?",
                "SELECT p.name, SUM(o.quantity * p.price) AS revenue FROM orders o JOIN products p "
                "ON p.id = o.product_id GROUP BY p.id ORDER BY revenue DESC, p.name LIMIT 3",
                "SELECT name, SUM(quantity * price) AS revenue FROM orders GROUP BY name",
                ("orders", "products"),
            ),
            Ask(
                "How many orders did customers of each city place?",
                "SELECT c.city, COUNT(*) AS orders FROM orders o JOIN customers c ON "
                "c.id = o.customer_id GROUP BY c.city ORDER BY orders DESC, c.city",
                "SELECT city, COUNT(*) FROM orders GROUP BY city",
                ("orders", "customers"),
            ),
            Ask(
                "Which products cost more than {a}?",
                "SELECT name, price FROM products WHERE price > {a} ORDER BY price DESC, name",
                "SELECT name, cost FROM products WHERE cost > {a}",
                ("products",),
            ),
            Ask(
                "Who ordered the most pieces in the month {b}?",
                "SELECT c.name, SUM(o.quantity) AS pieces FROM orders o JOIN customers c ON "
                "c.id = o.customer_id WHERE o.ordered_on LIKE '{b}%' GROUP BY c.id "
                "ORDER BY pieces DESC, c.name LIMIT 1",
                "SELECT c.name, SUM(o.quantity) FROM orders o JOIN customers c ON "
                "c.id = o.customer WHERE o.month = '{b}' GROUP BY c.id",
                ("customers", "orders"),
            ),
            Ask(
                "Which customers have never ordered anything?",
                "SELECT name FROM customers WHERE id NOT IN (SELECT customer_id FROM orders) "
                "ORDER BY name",
                "SELECT name FROM customers WHERE id NOT IN (SELECT client_id FROM orders)",
                ("customers", "orders"),
            ),
        ),
    ),
    Domain(
        "library",
        "CREATE TABLE books (id INTEGER PRIMARY KEY, title TEXT, author TEXT, year INTEGER);"
        "CREATE TABLE members (id INTEGER PRIMARY KEY, name TEXT, joined INTEGER);"
        "CREATE TABLE loans (id INTEGER PRIMARY KEY, book_id INTEGER, member_id INTEGER, "
        "lent_on TEXT, days INTEGER);",
        _fill_library,
        lambda draw: (draw.whole(1960, 2010), draw.whole(10, 45)),
        (
            Ask(
                "Which books are out at the moment (not returned)?",
                "SELECT DISTINCT b.title FROM loans l JOIN books b ON b.id = l.book_id "
                "WHERE l.days IS NULL ORDER BY b.title",
                "SELECT b.title FROM loans l JOIN books b ON b.id = l.book_id "
                "WHERE l.returned_on IS NULL",
                ("loans", "books"),
            ),
            Ask(
                "How long are books of each author kept on average?",
                "SELECT b.author, ROUND(AVG(l.days), 1) AS mean_days FROM loans l JOIN books b ON "
                "b.id = l.book_id GROUP BY b.author ORDER BY mean_days DESC",
                "SELECT author, MEAN(days) FROM loans GROUP BY author",
                ("books", "loans"),
            ),
            Ask(
                "Who had a loan of more than {b} days, and how many such loans?",
                "SELECT m.name, COUNT(*) AS loans FROM loans l JOIN members m ON "
                "m.id = l.member_id WHERE l.days > {b} GROUP BY m.id ORDER BY loans DESC, m.name",
                "SELECT m.name, COUNT(*) FROM loans l JOIN members m ON m.id = l.user_id "
                "WHERE l.days > {b} GROUP BY m.id",
                ("loans", "members"),
            ),
            Ask(
                "How many of our books are from before {a}, and how many from {a} or later?",
                "SELECT year < {a} AS before, COUNT(*) AS books FROM books GROUP BY before",
                "SELECT year < {a} AS before, COUNT(*) FROM book GROUP BY before",
                ("books",),
            ),
            Ask(
                "What is the most borrowed title?",
                "SELECT b.title, COUNT(*) AS loans FROM loans l JOIN books b ON b.id = l.book_id "
                "GROUP BY b.id ORDER BY loans DESC, b.title LIMIT 1",
                "SELECT title, COUNT(*) FROM loans GROUP BY title ORDER BY 2 DESC LIMIT 1",
                ("loans", "books"),
            ),
        ),
    ),
    Domain(
        "weather",
        "CREATE TABLE stations (id INTEGER PRIMARY KEY, city TEXT, altitude INTEGER);"
        "CREATE TABLE readings (id INTEGER PRIMARY KEY, station_id INTEGER, day TEXT, "
        "temperature REAL, rain INTEGER);",
        _fill_weather,
        lambda draw: (draw.whole(5, 30), draw.whole(200, 1200)),
        (
            Ask(
                "Which station has the highest mean temperature?",
                "SELECT s.city, ROUND(AVG(r.temperature), 2) AS mean FROM readings r JOIN stations "
                "s ON s.id = r.station_id GROUP BY s.id ORDER BY mean DESC LIMIT 1",
                "SELECT s.city, AVG(r.temp) FROM readings r JOIN stations s ON s.id = r.station_id",
                ("readings", "stations"),
            ),
            Ask(
                "On how many days did more than {a} mm of rain fall, by city?",
                "SELECT s.city, COUNT(*) AS days FROM readings r JOIN stations s ON "
                "s.id = r.station_id WHERE r.rain > {a} GROUP BY s.id ORDER BY days DESC, s.city",
                "SELECT city, COUNT(*) FROM readings WHERE rainfall > {a} GROUP BY city",
                ("stations", "readings"),
            ),
            Ask(
                "What was the lowest temperature at stations above {b} m?",
                "SELECT MIN(r.temperature) AS lowest FROM readings r JOIN stations s ON "
                "s.id = r.station_id WHERE s.altitude > {b}",
                "SELECT MIN(temperature) FROM readings WHERE altitude > {b}",
                ("readings", "stations"),
            ),
            Ask(
                "How many frost readings (below 0) are there per month?",
                "SELECT substr(day, 1, 7) AS month, COUNT(*) AS frost FROM readings WHERE "
                "temperature < 0 GROUP BY month ORDER BY month",
                "SELECT MONTH(day) AS month, COUNT(*) FROM readings WHERE temperature < 0",
                ("readings",),
            ),
        ),
    ),
    Domain(
        "school",
        "CREATE TABLE pupils (id INTEGER PRIMARY KEY, name TEXT, class TEXT);"
        "CREATE TABLE subjects (id INTEGER PRIMARY KEY, title TEXT);"
        "CREATE TABLE marks (id INTEGER PRIMARY KEY, pupil_id INTEGER, subject_id INTEGER, "
        "points INTEGER);",
        _fill_school,
        lambda draw: (draw.whole(40, 70), draw.pick(("7a", "7b", "8a"))),
        (
            Ask(
                "Which subject has the best average?",
                "SELECT s.title, ROUND(AVG(m.points), 1) AS mean FROM marks m JOIN subjects s ON "
                "s.id = m.subject_id GROUP BY s.id ORDER BY mean DESC LIMIT 1",
                "SELECT subject, AVG(points) FROM marks GROUP BY subject",
                ("marks", "subjects"),
            ),
            Ask(
                "List pupils of class {b} with their mean points.",
                "SELECT p.name, ROUND(AVG(m.points), 1) AS mean FROM pupils p JOIN marks m ON "
                "m.pupil_id = p.id WHERE p.class = '{b}' GROUP BY p.id ORDER BY mean DESC, p.name",
                "SELECT p.name, AVG(m.points) FROM pupils p JOIN marks m ON m.student_id = p.id "
                "WHERE p.class = '{b}' GROUP BY p.id",
                ("pupils", "marks"),
            ),
            Ask(
                "How many marks are below {a} points, per subject?",
                "SELECT s.title, COUNT(*) AS low FROM marks m JOIN subjects s ON "
                "s.id = m.subject_id WHERE m.points < {a} GROUP BY s.id ORDER BY low DESC, s.title",
                "SELECT s.title, COUNT(*) FROM grades m JOIN subjects s ON s.id = m.subject_id "
                "WHERE m.points < {a} GROUP BY s.id",
                ("subjects", "marks"),
            ),
            Ask(
                "Who has the single best mark, in which subject?",
                "SELECT p.name, s.title, m.points FROM marks m JOIN pupils p ON p.id = m.pupil_id "
                "JOIN subjects s ON s.id = m.subject_id ORDER BY m.points DESC, p.name LIMIT 1",
                "SELECT name, title, MAX(points) FROM marks JOIN pupils JOIN subjects "
                "ON pupils.pupil_id = marks.pupil_id",
                ("marks", "pupils"),
            ),
        ),
    ),
)


def _n(names: list[str]) -> list[tuple[int, str]]:
    return list(enumerate(names, 1))


def _day(draw: Draw) -> str:
    return f"2024-{draw.whole(1, 12):02d}-{draw.whole(1, 28):02d}"


def _insert(db: sqlite3.Connection, **tables: list[tuple]) -> None:
    for table, rows in tables.items():
        marks = ", ".join("?" * len(rows[0]))
        db.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
