"""The mapping `zmq_multi`: ranks that are connected by ZeroMQ, on one host or on several."""
