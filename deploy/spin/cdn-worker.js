// A worker at a CDN that passes every request on to the site and tells the
// edge application afterwards: unlike a mirror, it knows the status.
//
// Build the application with
//   --status-header X-Original-Status --geo-header country=X-Geo-Country
//   --geo-header latitude=X-Geo-Latitude --geo-header longitude=X-Geo-Longitude
//   --geo-header as_number=X-Geo-ASN
//
// `request.cf` and `CF-Connecting-IP` are Cloudflare's names; other CDNs have
// the same values under theirs. EDGE_URL and EDGE_TOKEN are bindings.

export default {
  async fetch(request, environment, context) {
    const response = await fetch(request);
    context.waitUntil(tell(request, response, environment));
    return response;
  },
};

// Only what is named here is passed, so a client can set none of it.
const PASSED = ["Cookie", "User-Agent", "Accept-Language", "Referer", "Content-Type"];

async function tell(request, response, environment) {
  const url = new URL(request.url);
  const place = request.cf ?? {};
  const headers = new Headers({
    "X-Sidewatch-Token": environment.EDGE_TOKEN,
    "X-Original-URI": url.pathname + url.search,
    "X-Original-Method": request.method,
    "X-Original-Status": String(response.status),
    "X-Original-Time": String(Date.now() / 1000),
    "X-Forwarded-Proto": url.protocol.replace(":", ""),
    "X-Real-IP": request.headers.get("CF-Connecting-IP") ?? "",
    "X-Geo-Country": place.country ?? "",
    "X-Geo-Latitude": place.latitude ?? "",
    "X-Geo-Longitude": place.longitude ?? "",
    "X-Geo-ASN": String(place.asn ?? ""),
  });
  for (const name of PASSED) {
    const value = request.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  // A client must never wait for this, nor notice when it fails.
  await fetch(environment.EDGE_URL + "/mirror", { method: "POST", headers }).catch(() => {});
}
