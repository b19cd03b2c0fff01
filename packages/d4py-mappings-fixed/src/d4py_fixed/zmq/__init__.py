"""The mapping `zmq_multi`: ranks are connected by ZeroMQ, on one host or on several."""
