# An access log in the format combined: a day of 400 users in 250 places, the
# same every time. awk -v lines=NUMBER -f deploy/bench/access-log.awk
BEGIN {
  seed = 1
  for (n = 0; n < lines; n++) {
    seed = (seed * 16807) % 2147483647; user = seed % 400
    seed = (seed * 16807) % 2147483647; path = seed % 5000
    second = int(n * 86400 / lines)
    printf "203.0.113.%d - user%d [21/Nov/2025:%02d:%02d:%02d +0000] \"GET /teams/%d/posts?page=%d HTTP/1.1\" 200 %d \"https://site.example/\" \"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\"\n", user % 250, user, second / 3600, second / 60 % 60, second % 60, path % 40, path, 200 + path
  }
}
