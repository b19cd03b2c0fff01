"""Memory that processes of one machine share, and the C library's handling of freed memory."""
