//! One mapping, three engines, the same events, one process.
//!
//! The mapping tells a login, a failed login, a logout, a download and the
//! rest by method, path and status, and sets four texts. Events have 22 text
//! fields. VRL and Lua get the event the usual way (an object, a table), read
//! what they need and set four fields; Lua also as userdata that reads fields
//! on demand. Sidewatch copies the fields its table reads into frames. Every
//! variant's answers are counted and must agree.
//!
//! `deploy/bench/mapping.sh` builds and runs it.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use mlua::{Lua, UserData, UserDataMethods};
use sidewatch_engine::{Engine, EngineSettings, MappingRule, RuleLimits};
use sidewatch_event::{Event, Field};
use vrl::compiler::state::RuntimeState;
use vrl::compiler::{Context, Program, TargetValue, TimeZone};
use vrl::value::{KeyString, ObjectMap, Secrets, Value};

const EVENTS: usize = 2048;
const ROUNDS: usize = 30;

const TABLE: &str = r#"
[[table]]
entries = [
  { code = "1", method = "POST", path = "/login", status = 200, action = "login", category = "authentication", outcome = "success" },
  { code = "2", method = "POST", path = "/login", status = 401, action = "login", category = "authentication", outcome = "failure" },
  { code = "3", method = "GET", path = "/logout", status = 302, action = "logout", category = "authentication", outcome = "success" },
  { code = "4", method = "GET", path = "/files/download", status = 200, action = "download", category = "file", outcome = "success" },
  { code = "5", action = "view", category = "web", outcome = "success" },
]
"#;

const VRL: &str = r#"
if .method == "POST" && .path == "/login" && .status == 200 { .code = "1"; .action = "login"; .category = "authentication"; .outcome = "success" }
else if .method == "POST" && .path == "/login" && .status == 401 { .code = "2"; .action = "login"; .category = "authentication"; .outcome = "failure" }
else if .method == "GET" && .path == "/logout" && .status == 302 { .code = "3"; .action = "logout"; .category = "authentication"; .outcome = "success" }
else if .method == "GET" && .path == "/files/download" && .status == 200 { .code = "4"; .action = "download"; .category = "file"; .outcome = "success" }
else { .code = "5"; .action = "view"; .category = "web"; .outcome = "success" }
"#;

const LUA: &str = r#"
return function(e)
  local method, path, status = e.method, e.path, e.status
  if method == "POST" and path == "/login" and status == 200 then return "1", "login", "authentication", "success"
  elseif method == "POST" and path == "/login" and status == 401 then return "2", "login", "authentication", "failure"
  elseif method == "GET" and path == "/logout" and status == 302 then return "3", "logout", "authentication", "success"
  elseif method == "GET" and path == "/files/download" and status == 200 then return "4", "download", "file", "success"
  else return "5", "view", "web", "success" end
end
"#;

const REQUESTS: [(&str, &str, u16); 8] = [
    ("POST", "/login", 200),
    ("POST", "/login", 401),
    ("GET", "/logout", 302),
    ("GET", "/files/download", 200),
    ("GET", "/teams/4/posts", 200),
    ("POST", "/posts", 201),
    ("GET", "/", 200),
    ("GET", "/files/download", 404),
];

/// Of this thread; `/proc` only knows whole ticks of the scheduler.
fn processor_time() -> Duration {
    cpu_time::ThreadTime::now().as_duration()
}

fn events() -> Vec<Box<Event>> {
    (0..EVENTS)
        .map(|at| {
            let (method, path, status) = REQUESTS[(at * 7 + at / 5) % 8];
            let mut event = Box::new(Event::new());
            event.status = status;
            // What the mapping itself writes stays free.
            let filled = Field::ALL.into_iter().map(|(field, _)| field);
            for field in filled.filter(|field| !field.name().starts_with("event.")).take(20) {
                event.set(field, "a value of usual length");
            }
            event.set(Field::HttpRequestMethod, method);
            event.set(Field::UrlPath, path);
            event.set(Field::UrlOriginal, path);
            event
        })
        .collect()
}

/// A variant gives the sum of the codes it answered, so that none can cheat.
type Variant = Box<dyn FnMut(&mut [Box<Event>]) -> u64>;

fn sidewatch() -> Variant {
    let rules = std::env::var("SIDEWATCH_RULES").expect("SIDEWATCH_RULES names the directory with the rule components");
    let engine = Engine::new(&EngineSettings::default()).unwrap();
    let table: serde_json::Value = toml::from_str(TABLE).unwrap();
    let limits = RuleLimits { frame_milliseconds: 60_000, ..RuleLimits::default() };
    let mut rule: MappingRule = engine.load_file(&Path::new(&rules).join("event-mapping.wasm")).unwrap().mapping(&table, limits).unwrap();
    Box::new(move |events| {
        for batch in events.chunks_mut(256) {
            rule.map(batch, |_| true);
        }
        events.iter().map(|event| event.get(Field::EventCode).and_then(|code| code.parse::<u64>().ok()).unwrap()).sum()
    })
}

fn texts(event: &Event) -> impl Iterator<Item = (&'static str, &str)> {
    event.fields().map(|(field, text)| (field.name(), text))
}

fn vrl_object(event: &Event) -> ObjectMap {
    let mut object: ObjectMap = texts(event).map(|(name, text)| (KeyString::from(name), Value::from(text))).collect();
    object.insert("method".into(), Value::from(event.get(Field::HttpRequestMethod).unwrap()));
    object.insert("path".into(), Value::from(event.get(Field::UrlPath).unwrap()));
    object.insert("status".into(), Value::from(i64::from(event.status)));
    object
}

fn vrl() -> Variant {
    let program: Program = vrl::compiler::compile(VRL, &[]).unwrap().program;
    let (zone, mut state) = (TimeZone::default(), RuntimeState::default());
    Box::new(move |events| {
        let mut sum = 0;
        for event in events {
            let mut target = TargetValue {
                value: Value::Object(vrl_object(event)),
                metadata: Value::Object(BTreeMap::new()),
                secrets: Secrets::default(),
            };
            state.clear();
            program.resolve(&mut Context::new(&mut target, &mut state, &zone)).unwrap();
            let object = target.value.as_object().unwrap();
            let text = |name: &str| object.get(name).and_then(Value::as_bytes).map(|text| String::from_utf8_lossy(text).into_owned()).unwrap();
            black_box((text("action"), text("category"), text("outcome")));
            sum += text("code").parse::<u64>().unwrap();
        }
        sum
    })
}

fn lua_table() -> Variant {
    let lua = Lua::new();
    let function: mlua::Function = lua.load(LUA).eval().unwrap();
    Box::new(move |events| {
        let mut sum = 0;
        for event in events {
            let table = lua.create_table().unwrap();
            for (name, text) in texts(event) {
                table.raw_set(name, text).unwrap();
            }
            table.raw_set("method", event.get(Field::HttpRequestMethod).unwrap()).unwrap();
            table.raw_set("path", event.get(Field::UrlPath).unwrap()).unwrap();
            table.raw_set("status", event.status).unwrap();
            let (code, action, category, outcome): (String, String, String, String) = function.call(table).unwrap();
            black_box((action, category, outcome));
            sum += code.parse::<u64>().unwrap();
        }
        sum
    })
}

/// The event as Lua reads it on demand.
struct OnDemand(Box<Event>);

impl UserData for OnDemand {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method("__index", |lua, this, name: mlua::String| {
            use mlua::IntoLua as _;
            match &*name.as_bytes() {
                b"method" => this.0.get(Field::HttpRequestMethod).into_lua(lua),
                b"path" => this.0.get(Field::UrlPath).into_lua(lua),
                b"status" => this.0.status.into_lua(lua),
                _ => Ok(mlua::Value::Nil),
            }
        });
    }
}

fn lua_on_demand() -> Variant {
    let lua = Lua::new();
    let function: mlua::Function = lua.load(LUA).eval().unwrap();
    // One userdata, filled for each event: no cost of making it anew.
    let shared = lua.create_userdata(OnDemand(Box::new(Event::new()))).unwrap();
    Box::new(move |events| {
        // Function and userdata do not keep the interpreter alive.
        let _alive = &lua;
        let mut sum = 0;
        for event in events {
            std::mem::swap(&mut shared.borrow_mut::<OnDemand>().unwrap().0, event);
            let (code, action, category, outcome): (String, String, String, String) = function.call(&shared).unwrap();
            std::mem::swap(&mut shared.borrow_mut::<OnDemand>().unwrap().0, event);
            black_box((action, category, outcome));
            sum += code.parse::<u64>().unwrap();
        }
        sum
    })
}

fn main() {
    let mut variants = [
        ("Sidewatch table, WASM, frames of 64", sidewatch()),
        ("Lua 5.4, userdata read on demand", lua_on_demand()),
        ("Lua 5.4, table per event", lua_table()),
        ("VRL", vrl()),
    ];
    let mut events = events();
    let mut best = [f64::INFINITY; 4];
    let mut sums = [0; 4];
    for round in 0..ROUNDS {
        for (at, (_, variant)) in variants.iter_mut().enumerate() {
            let began = processor_time();
            sums[at] = variant(&mut events);
            if round > 1 {
                best[at] = best[at].min((processor_time() - began).as_nanos() as f64 / EVENTS as f64);
            }
        }
    }
    println!("{EVENTS} events of 22 fields, minimum of {ROUNDS} rounds, CPU time of the thread");
    for (at, (name, _)) in variants.iter().enumerate() {
        println!("{name:<40} {:>7.0} ns/event {:>6.1}x", best[at], best[at] / best[0]);
    }
    assert!(sums.iter().all(|sum| *sum == sums[0]), "all must answer the same: {sums:?}");
}
