//! Folding attempts, prompts and successes.

use rule_sdk::detection::{Event, Finding, Findings, NetworkKind, Side, Stored};
use rule_sdk::incident::Incident;

use crate::state::{Attempt, Known};
use crate::{FailedLogins, FailedLoginsState};

const BURST: u32 = 0;
const GUESSED: u32 = 1;
const FATIGUE: u32 = 2;
const ACCEPTED: u32 = 3;

/// Seconds by which the last use of a network or browser may lag behind.
const GRANULARITY: u32 = 24 * 60 * 60;

/// Seconds without an attempt after which another attack begins.
const QUIET: u32 = 24 * 60 * 60;

impl FailedLogins {
    fn is_own_network(&self, known: &Known, event: &Event<'_>, now: u32) -> bool {
        known.networks.knows(event.network(), now, self.familiar)
    }

    fn is_own_agent(&self, known: &Known, event: &Event<'_>, now: u32) -> bool {
        event.user_agent() != 0 && known.agents.knows(event.user_agent(), now, self.familiar)
    }

    /// A wrong password.
    pub(crate) fn refused(
        &self,
        known: &mut Known,
        event: &Event<'_>,
        now: u32,
        out: &mut Findings<'_>,
    ) {
        known.failures.note(now, event.network());
        let own = self.is_own_network(known, event, now);
        let is_own = |attempt: &Attempt| {
            known
                .networks
                .within(now, self.familiar)
                .any(|seen| seen.hash == attempt.network)
        };
        let counted = known
            .failures
            .within(now, self.window)
            .filter(|attempt| is_own(attempt) == own)
            .count();
        let failures = u32::try_from(counted).unwrap_or(u32::MAX);
        let enough = if own {
            self.parameters.own_failures
        } else {
            self.parameters.failures
        };
        let running = known.burst.is_open(now, QUIET);
        if (failures < enough && !running)
            || !known.burst.counted(&[event.user(), 0], now, QUIET, enough)
        {
            return;
        }
        let burst = known.burst;
        let source = if own {
            "from the user's own network"
        } else {
            "from networks the user never logged in from"
        };
        let finding = Finding::new(BURST, format!("{} failed logins {source}", burst.count))
            .score(if own { 0.4 } else { 0.8 })
            .with("failures", burst.count)
            .with(
                "networks",
                networks(known.failures.within(now, self.window)),
            );
        let finding = self.source(finding, known, event, now, &burst);
        let finding = if own { finding.severity(3) } else { finding };
        out.report(finding.incident(burst.id, burst.occurrence()));
    }

    /// The application asked for a second factor, or got a wrong one.
    pub(crate) fn prompted(
        &self,
        known: &mut Known,
        event: &Event<'_>,
        now: u32,
        out: &mut Findings<'_>,
    ) {
        known.prompts.note(now, event.network());
        let own = self.is_own_network(known, event, now) && self.is_own_agent(known, event, now);
        let enough = if own {
            self.parameters.own_prompts
        } else {
            self.parameters.prompts
        };
        let prompts = u32::try_from(known.prompts.within(now, self.prompt_window).count())
            .unwrap_or(u32::MAX);
        if prompts < enough
            || !known
                .fatigue
                .counted(&[event.user(), 1], now, self.prompt_window, enough)
        {
            return;
        }
        let fatigue = known.fatigue;
        let finding = Finding::new(
            FATIGUE,
            format!("{} second-factor prompts without a login", fatigue.count),
        )
        .score(if own { 0.4 } else { 0.8 })
        .with("prompts", fatigue.count);
        let finding = self.source(finding, known, event, now, &fatigue);
        let finding = if own { finding.severity(3) } else { finding };
        out.report(finding.incident(fatigue.id, fatigue.occurrence()));
    }

    /// A login that succeeded.
    pub(crate) fn let_in(
        &self,
        state: &mut Stored<FailedLoginsState>,
        event: &Event<'_>,
        now: u32,
        out: &mut Findings<'_>,
    ) {
        if state.0.failures.is_empty() && state.0.prompts.is_empty() {
            self.present(state, event, now);
            return;
        }
        let known = &mut state.0;
        let stranger =
            !self.is_own_network(known, event, now) && !self.is_own_agent(known, event, now);
        let network = rule_sdk::recent::short(event.network());
        let prompts = u32::try_from(known.prompts.within(now, self.prompt_window).count())
            .unwrap_or(u32::MAX);
        let guesses = known
            .failures
            .within(now, self.window)
            .filter(|attempt| attempt.network == network)
            .count();
        let guesses = u32::try_from(guesses).unwrap_or(u32::MAX);
        known.prompts.forget(|_| true);
        known.failures.forget(|attempt| attempt.network == network);
        if stranger && prompts >= self.parameters.prompts {
            if !known.fatigue.is_open(now, self.prompt_window) {
                known
                    .fatigue
                    .counted(&[event.user(), 1], now, self.prompt_window, prompts);
            }
            let fatigue = known.fatigue;
            let finding = Finding::new(
                ACCEPTED,
                format!("let in after {prompts} second-factor prompts"),
            )
            .with("prompts", prompts);
            out.report(
                self.source(finding, known, event, now, &fatigue)
                    .score(0.9)
                    .incident(fatigue.id, 1),
            );
        } else if stranger && guesses >= self.guesses_of(known, now) {
            let mut burst = known.burst;
            if !burst.is_open(now, QUIET) {
                // Too few for a burst: an incident of its own.
                burst.counted(&[event.user(), 2], now, QUIET, guesses);
            }
            let finding = Finding::new(
                GUESSED,
                format!("let in after {guesses} failed logins from the same network"),
            )
            .with("failures", guesses);
            out.report(
                self.source(finding, known, event, now, &burst)
                    .score(0.8)
                    .incident(burst.id, 1),
            );
        } else {
            self.present(state, event, now);
        }
    }

    /// How many guesses are too many: a newcomer, of whom nothing is known yet,
    /// may forget a password as often as anybody fails before it is a burst.
    fn guesses_of(&self, known: &Known, now: u32) -> u32 {
        let newcomer = known.networks.within(now, self.familiar).next().is_none()
            && known.agents.within(now, self.familiar).next().is_none();
        if newcomer {
            self.parameters.guesses.max(self.parameters.failures)
        } else {
            self.parameters.guesses
        }
    }

    /// The user is in: network and browser are familiar from now on.
    pub(crate) fn present(
        &self,
        state: &mut Stored<FailedLoginsState>,
        event: &Event<'_>,
        now: u32,
    ) {
        let fresh =
            |last: Option<u32>| last.is_some_and(|last| now < last.saturating_add(GRANULARITY));
        let (network, agent) = (event.network(), event.user_agent());
        if network != 0
            && event.network_kind() != NetworkKind::Private
            && !fresh(state.0.networks.last(network))
        {
            state.0.networks.saw(network, now);
        }
        if agent != 0 && !fresh(state.0.agents.last(agent)) {
            state.0.agents.saw(agent, now);
        }
    }

    fn source(
        &self,
        finding: Finding,
        known: &Known,
        event: &Event<'_>,
        now: u32,
        incident: &Incident,
    ) -> Finding {
        let place = rule_sdk::detection::presence::place(event, event.network_kind(), 0.0);
        let familiar = |own: bool| if own { "known" } else { "never let in" };
        let side = Side {
            address: event.address_halves(),
            place,
            as_number: event.as_number(),
            country: u16::try_from(event.country()).unwrap_or(0),
            kind: event.network_kind(),
            session: event.session(),
            device: event.device(),
            agent: event.user_agent(),
        };
        finding
            .with_seconds("first_time", incident.first)
            .with_seconds("time", now)
            .with_side("", &side)
            .with("source_network", familiar(self.is_own_network(known, event, now)))
            .with("source_user_agent", familiar(self.is_own_agent(known, event, now)))
            .with("not_suppressed", "second-factor prompts are not counted as failed logins; no success came in between")
    }
}

/// How many networks the attempts came from.
fn networks<'a>(attempts: impl Iterator<Item = &'a Attempt>) -> u32 {
    let mut seen: Vec<u32> = attempts.map(|attempt| attempt.network).collect();
    seen.sort_unstable();
    seen.dedup();
    u32::try_from(seen.len()).unwrap_or(u32::MAX)
}
