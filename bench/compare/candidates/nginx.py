"""nginx as a plain reverse proxy: what it costs to pass bytes on without a look at them."""

NAME, LABEL = "nginx", "nginx, plain proxy (the limit)"
JOBS = {"http": ("modern", "legacy"), "big": ("modern", "legacy")}
GROWTH = ("payload",)
PROGRAM = "nginx"

CONFIG = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log error;
events {{ worker_connections 2048; }}
http {{
  access_log off; keepalive_requests 1000000000; proxy_max_temp_file_size 0; proxy_buffers 32 128k; proxy_buffer_size 16k;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  upstream server {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://server; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host; }}
  }}
}}
"""


def launch(setting):
    config = CONFIG.format(folder=setting.folder, upstream=setting.upstreams[0]["port"], port=setting.port)
    return {"command": [setting.programs["nginx"], "-c", setting.write("nginx.conf", config), "-p", str(setting.folder)]}
