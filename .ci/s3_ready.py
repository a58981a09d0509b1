"""Makes a bucket and waits until an object can be written to it: s3_ready.py ENDPOINT BUCKET SERVER_PID.

Signs its requests by hand (AWS Signature Version 4), so that nothing but Python is needed.
"""

import datetime
import hashlib
import hmac
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

SECONDS_MAX = 60


def put(endpoint, path, body):
    """The status of a signed PUT."""
    access, secret, region = (os.environ[k] for k in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"))
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    host, digest = urllib.parse.urlsplit(endpoint).netloc, hashlib.sha256(body).hexdigest()
    headers = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": now}
    names = ";".join(sorted(headers))
    canonical = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = "\n".join(["PUT", path, "", canonical, names, digest])
    scope = f"{now[:8]}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in (now[:8], region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    call = urllib.request.Request(endpoint + path, data=body, headers=headers, method="PUT")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(call, timeout=10) as reply:
        return reply.status


def main():
    endpoint, bucket, server = sys.argv[1], sys.argv[2], int(sys.argv[3])
    until, why = time.monotonic() + SECONDS_MAX, ""
    while time.monotonic() < until:
        try:
            os.kill(server, 0)
        except OSError:
            sys.exit("s3: the server has ended")
        for path, body in ((f"/{bucket}", b""), (f"/{bucket}/ready", b"ready")):
            try:
                put(endpoint, path, body)
            except urllib.error.HTTPError as error:
                why = f"{error.code} {error.read()[:200]!r}"
                # 409: an earlier try has made the bucket.
                if path.count("/") == 1 and error.code == 409:
                    continue
                break
            except OSError as error:
                why = str(error)
                break
        else:
            return
        time.sleep(0.2)
    sys.exit(f"s3: no PUT within {SECONDS_MAX} s: {why}")


main()
