"""Rooms that people join from the browser, in Django: a durable log, presence, and a fast fan-out.

The map, in reading order. A module imports only from lines above its own; ``tests/test_layers.py`` keeps it so.

0  errors.py       one tree of refusals and failures: code, try again or not, a sentence
1  protocol.py     sans-I/O codec of the wire: text -> Push, Frame -> text
1  kinds/          base.py: Kind (typed commands, decide, reduce) and the registry; chat.py, counter.py; no storage
1  limits.py       token bucket, and how many of a kind; `now` is an argument
1  rest.py         where several things went together, the next wait a moment, and do so too
1  addresses.py    from which address a connection comes, as far as proxies can be believed
1  files.py        how many connections a process can hold at all
1  feed.py         a room's order as one process sees it: next, stale, early; and the recent frames
1  storable.py     what may be stored: JSON that every database takes
1  roster.py       who is in a room as one process sees it, by person, and what changed
2  conf.py         the REALTIME settings: defaults, bounds and a line each
2  models.py       Room, Membership, Event, Sanction, Turn, Node, Presence: columns and constraints
2  credentials.py  what somebody shows to say who they are: cookies, or a token in their place
2  metrics.py      the declared counters
2  batching.py     what arrives while a database call is under way goes together in the next one
3  auth.py         who is this (session, guest), and from which origin
3  tickets.py      issue, redeem, sweep: the one writer of Ticket
3  apikeys.py      make, revoke, identify: the one writer of an ApiKey's digest
3  statements.py   the statements of an append and of entering, written out
3  sanctions.py    who is banned or muted, until when: the one writer of Sanction
3  slowmode.py     who acted when in a room in slow mode: the one writer of Turn
4  rings.py        what processes tell each other
4  allowances.py   what all of a person's connections share
4  policy.py       may this person see, join, act, moderate
5  log.py          append, since, heads, clear, trim: the one writer of Event and Room.head, tail and state
5  presence.py     enter, leave, renew, sweep, people: the one writer of Node and Presence
5  bus.py          publish, listen, renew memberships: the one module that knows the channel layer
6  admissions.py   with what standing somebody is let in
6  changes.py      what was told of accounts, sessions and rooms lately
6  rooms.py        the public API: publish, broadcast, submit, close, snapshot
6  door.py         who is it, is it still, may they come in: for many at a time
6  moderation.py   what moderators ask for from their pages: judged afresh, done through rooms
6  local.py        a room in this process: subscriptions, fan-out together, who lags, who is here
7  signals.py      what Django says about accounts and rooms, passed on to open connections
7  leaving.py      hears that the process is asked to stop
7  hub.py          the rooms of this process: hears the bus, fills gaps from the log
7  looks.py        looks again at connections, whose standing may have changed
8  node.py         one process: wires the hub, holds the lease, sweeps
9  line.py         the way out to one client: replies wait up to a bound while it does not read
9  pace.py         how fast one client may go
9  joined.py       a client in a room: what it was let in with, what it missed, what it may ask
9  whereabouts.py  the rooms that a client is in: joins, looks again, leaves
9  connection.py   one client, no transport: receive(text) in, frames out
10 lanes.py        the ways out of a WebSocket: ASGI send, or a server's direct write
10 servers/        fast lanes into particular ASGI servers, and what these leave unbounded
11 consumers.py    the WebSocket transport
11 views.py        health and metrics
11 api.py          for clients, over HTTP: tickets, and a backend's commands
11 checks.py       what is set up wrongly, said at start-up
12 routing.py      the WebSocket routes
13 asgi.py         the whole WebSocket branch: origin, then routes
13 urls.py         the HTTP routes
13 keyadmin.py     API keys in the admin
13 sanctionadmin.py  bans and mutes in the admin
13 admin.py        rooms, memberships, the log to read, who is here
13 apps.py         finds every installed app's kinds
13 templatetags/   a room in any template
13 management/     commands
13 migrations/     the tables' history
"""
