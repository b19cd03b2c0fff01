"""The page about batches: its example of requests in bulk makes such requests."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from pages import DOCS, Session, blocks

from dispel4py import ProducerPE, WorkflowGraph, run


class Service(BaseHTTPRequestHandler):
    """Answers a list of addresses with a list of places."""

    sizes: list[int]

    def do_POST(self):
        addresses = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.sizes.append(len(addresses))
        body = json.dumps([f"place of {address}" for address in addresses]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Print nothing."""


@pytest.fixture
def service():
    """Return the address of a service, and the list of the sizes of its requests."""
    handler = type("Handler", (Service,), {"sizes": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", handler.sizes
        server.shutdown()
        thread.join()


class Addresses(ProducerPE):
    def _process(self, inputs):
        for number in range(250):
            self.write("output", f"{number} High Street")


def test_requests_in_bulk_carry_a_hundred_items(service, tmp_path):
    page = DOCS / "batches.md"
    session = Session(page, tmp_path)
    for block in blocks(page):
        session.run(block)
    url, sizes = service
    graph = WorkflowGraph()
    graph.connect(Addresses(), "output", session.namespace["Locate"](url), "input")
    outputs = run(graph, inputs=1).outputs["Locate1"]["output"]
    assert outputs == [f"place of {number} High Street" for number in range(250)]
    assert sizes == [100, 100, 50]
