// The rule `repeated-failures` in JavaScript: a user whose logins fail again
// and again.
//
// The same rule as `sidewatch rule new` writes in Rust. A rule is a pure
// function: it sees no clock, file, network or randomness; time is the events',
// and what is remembered per user comes in with the frame and goes back with
// the outcome. 64-bit numbers are BigInt.

const ABSENT = 0xffffffff;
const LOGIN_FAILURE = 2;
const REMEMBERED = 32;

const settings = { failures: 5, minutes: 10 };

function refuse(parameter, message) {
  return { parameter, message };
}

/** Times of the last failures, as the state's bytes hold them. */
function decode(block, span) {
  if (span.start === ABSENT) return [];
  const view = new DataView(block.buffer, block.byteOffset + span.start, span.length);
  return Array.from({ length: span.length >> 3 }, (_, at) => view.getBigInt64(at * 8, true));
}

function encode(times) {
  const view = new DataView(new ArrayBuffer(times.length * 8));
  times.forEach((time, at) => view.setBigInt64(at * 8, time, true));
  return new Uint8Array(view.buffer);
}

function near(one, other, window) {
  const difference = one > other ? one - other : other - one;
  return difference <= window;
}

function finding(at, event, times) {
  const first = times.reduce((least, time) => (time < least ? time : least));
  const evidence = [
    { name: "failures", value: { tag: "integer", val: BigInt(times.length) } },
    { name: "first_failure", value: { tag: "time", val: first } },
  ];
  if (event.addressHigh || event.addressLow) {
    const address = { high: event.addressHigh, low: event.addressLow };
    evidence.push({ name: "address", value: { tag: "address", val: address } });
  }
  return {
    event: at,
    kind: 0,
    incident: BigInt.asUintN(64, event.user ^ first),
    occurrence: 1,
    severity: 6,
    score: 1,
    title: `${times.length} failed logins`,
    evidence,
  };
}

export const types = {};

export const detection = {
  configure(parameters) {
    let given;
    try {
      given = JSON.parse(parameters);
    } catch (error) {
      throw refuse("", String(error));
    }
    for (const [name, value] of Object.entries(given)) {
      if (!(name in settings)) {
        throw refuse(name, `unknown field \`${name}\`, expected \`failures\` or \`minutes\``);
      }
      if (!Number.isInteger(value) || value < 1) throw refuse(name, "must be a whole number");
      settings[name] = value;
    }
    if (settings.failures < 2 || settings.failures > REMEMBERED) {
      throw refuse("failures", `choose 2 to ${REMEMBERED}`);
    }
    return {
      id: "repeated-failures",
      version: "0.1.0",
      key: ["user"],
      reads: [],
      stateTtl: 24n * 60n * 60n * 1000n,
      stateLimit: 4096,
      findings: [
        { id: "repeated-failures", title: "Logins fail again and again", severity: 6, technique: "T1110" },
      ],
    };
  },

  evaluate(frame) {
    const window = BigInt(settings.minutes) * 60_000n;
    const changes = [];
    const findings = [];
    const stored = [];
    let length = 0;
    frame.groups.forEach((group, index) => {
      let times = decode(frame.block, group.state);
      let changed = false;
      for (let at = group.first; at < group.first + group.count; at += 1) {
        const event = frame.events[at];
        if (event.activity !== LOGIN_FAILURE) continue;
        times = times.filter((time) => near(time, event.time, window));
        times = [...times, event.time].slice(-REMEMBERED);
        changed = true;
        if (times.length === settings.failures) findings.push(finding(at, event, times));
      }
      if (changed) {
        const bytes = encode(times);
        changes.push({ group: index, state: { start: length, length: bytes.length } });
        stored.push(bytes);
        length += bytes.length;
      }
    });
    const block = new Uint8Array(length);
    let at = 0;
    for (const bytes of stored) {
      block.set(bytes, at);
      at += bytes.length;
    }
    return { block, changes, findings };
  },
};
