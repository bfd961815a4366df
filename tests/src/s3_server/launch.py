"""Runs moto's S3 on one port, in memory, one request at a time, and says where.

One request at a time: moto compares a condition and then writes, in two steps that another thread could come between.
"""

import sys

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import make_server

port, bucket = int(sys.argv[1]), sys.argv[2]
s3_backends["123456789012"]["aws"].create_bucket(bucket, "us-east-1")
app = DomainDispatcherApplication(create_backend_app)
app.debug = True
server = make_server("127.0.0.1", port, app, threaded=False, request_handler=MotoRequestHandler)
print(server.port, flush=True)
server.serve_forever()
