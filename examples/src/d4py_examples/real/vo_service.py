"""A cone search service on this machine, in place of one of the Virtual Observatory.

It has the galaxies of the OpenNGC catalogue, which the package PyOngc brings along (M. Verga,
CC-BY-SA-4.0), and answers as the IVOA's *Simple Cone Search* 1.03 says: ``/cone?RA=…&DEC=…&SR=…``,
all in degrees, gives a VOTable.  `galaxies` asks it:

```console
$ python -m d4py_examples.real.vo_service galaxies.vot
http://127.0.0.1:8765/cone
```
"""

import argparse
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Event, Thread
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pyongc
from astropy.coordinates import angular_separation
from astropy.io.votable import writeto
from astropy.io.votable.tree import VOTableFile
from astropy.table import Table

CATALOGUE = Path(pyongc.__file__).with_name("ongc.db")
#: The port of the command.
PORT = 8765
#: What the standard wants some columns to be marked with.
UCDS = {"name": "ID_MAIN", "ra": "POS_EQ_RA_MAIN", "dec": "POS_EQ_DEC_MAIN"}
QUERY = """
    SELECT name, ra, dec, hubble, majax, minax FROM objects
    WHERE type = 'G' AND ra IS NOT NULL AND NOT notngc ORDER BY name
"""


def read_catalogue(path: Path = CATALOGUE) -> Table:
    """Return the galaxies: name, ra and dec [degrees], hubble, majax and minax [arc minutes]."""
    with closing(sqlite3.connect(path)) as database:
        names, ra, dec, types, major, minor = zip(*database.execute(QUERY), strict=True)
    return Table(
        {
            "name": names,
            "ra": np.degrees(ra),
            "dec": np.degrees(dec),
            "hubble": types,
            "majax": np.array(major, dtype=float),  # nan where the catalogue has none
            "minax": np.array(minor, dtype=float),
        },
        units={"ra": "deg", "dec": "deg", "majax": "arcmin", "minax": "arcmin"},
    )


def cone(galaxies: Table, ra: float, dec: float, radius: float) -> Table:
    """Return the galaxies within a radius of a place; all in degrees."""
    places = galaxies["ra"].value, galaxies["dec"].value, ra, dec
    distance = angular_separation(*map(np.radians, places))
    return galaxies[distance <= np.radians(radius)]


def write_positions(path: Path, count: int | None = None) -> None:
    """Write the names and places of the first galaxies as a VOTable: the input of `galaxies`."""
    writeto(read_catalogue()[:count]["name", "ra", "dec"], str(path))


def to_votable(table: Table) -> bytes:
    """Return a table as a VOTable, with the marks of the standard."""
    votable = VOTableFile.from_table(table)
    for field in votable.get_first_table().fields:
        field.ucd = UCDS.get(field.name)
    file = BytesIO()
    votable.to_xml(file)
    return file.getvalue()


class ConeSearchHandler(BaseHTTPRequestHandler):
    """Answers a request with the galaxies of a cone."""

    protocol_version = "HTTP/1.1"
    galaxies: Table

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name.upper(): values[0] for name, values in parse_qs(url.query).items()}
        try:
            ra, dec, radius = (float(query[name]) for name in ("RA", "DEC", "SR"))
        except (KeyError, ValueError):
            self.send_error(400, "ask for /cone?RA=degrees&DEC=degrees&SR=degrees")
            return
        body = to_votable(cone(self.galaxies, ra, dec, radius))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-votable+xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


@contextmanager
def serve(port: int = 0) -> Iterator[str]:
    """Serve in a thread while a ``with`` statement lasts; return the service's address.

    Args:
        port: the port; 0 takes a free one.
    """
    handler = type("Handler", (ConeSearchHandler,), {"galaxies": read_catalogue()})
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/cone"
        finally:
            server.shutdown()
            thread.join()


def main(argv: Sequence[str] | None = None) -> None:
    """Write the positions of galaxies to a file, and serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m d4py_examples.real.vo_service")
    parser.add_argument("positions", type=Path, help="VOTable to write: the input of galaxies")
    parser.add_argument("--count", type=int, default=500, help="how many galaxies (500)")
    parser.add_argument("--port", type=int, default=PORT, help=f"port to serve on ({PORT})")
    arguments = parser.parse_args(argv)
    write_positions(arguments.positions, arguments.count)
    with serve(arguments.port) as url, suppress(KeyboardInterrupt):
        print(url, flush=True)
        Event().wait()


if __name__ == "__main__":
    main()
