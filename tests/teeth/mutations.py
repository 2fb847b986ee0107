"""Which line carries which rule, and which test has to notice when it is gone?"""

from __future__ import annotations

from dataclasses import dataclass

POLICY = "django_gmf_router/routing/policy.py"
BLOCKS = "django_gmf_router/routing/blocks.py"
GUARD = "django_gmf_router/routing/guard.py"
TRANSACTIONS = "django_gmf_router/routing/transactions.py"
LAZY = "django_gmf_router/routing/lazy_response.py"
UNIT = "django_gmf_router/routing/unit_of_work.py"
CLUSTERS = "django_gmf_router/clusters.py"
PRIMARY_MODELS = "django_gmf_router/routing/primary_models.py"

POOL = "django_gmf_router/replicas/pool.py"
FRESHNESS = "django_gmf_router/replicas/freshness.py"
HEALTH = "django_gmf_router/replicas/health.py"
NODES = "django_gmf_router/replicas/nodes.py"
PROBES = "django_gmf_router/replicas/probes.py"
MOVES = "django_gmf_router/routing/moves.py"
CLONING = "django_gmf_router/schemas/cloning"
SOCKETS = "django_gmf_router/postgres/sockets.py"

MIGRATING = "django_gmf_router/schemas/migrating.py"
PREPARING = "django_gmf_router/schemas/preparing.py"

T_POLICY = "tests/unit/routing/test_policy.py"
T_BLOCKS = "tests/unit/routing/test_blocks.py"
T_REQUESTS = "tests/integration/test_requests.py"
T_RELATIONS = "tests/integration/test_relations.py"
T_TRANSACTIONS = "tests/integration/test_transactions.py"
T_WRITES = "tests/integration/test_writes.py"
T_SITE = "tests/integration/test_site_tests.py"
T_FRESHNESS = "tests/unit/replicas/test_freshness.py"
T_CONSISTENCY = "tests/integration/test_consistency.py"
T_MOVES = "tests/unit/routing/test_moves.py"
T_COMMANDS = "tests/integration/test_commands.py"
T_SCHEMAS = "tests/cluster/test_schemas.py"

BUILD = "django_gmf_router/services/served_clusters.py"
CONNINFO = "django_gmf_router/services/libpq_clients.py"
ENTRIES = "django_gmf_router/services/logins.py"
HAPROXY = "django_gmf_router/services/haproxy.py"
PGBOUNCER = "django_gmf_router/services/pgbouncer.py"
T_BUILD = "tests/unit/services/test_served_clusters.py"
T_FORMATS = "tests/unit/services/test_formats.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """A rule, the text that carries it, what stands there without it, and the tests that must fail then."""

    rule: str
    file: str
    old: str
    new: str
    tests: str


def _m(rule: str, file: str, old: str, new: str, tests: str) -> Mutation:
    return Mutation(rule=rule, file=file, old=old, new=new, tests=tests)


MUTATIONS = [
    # Routing core (traps 1 to 6)
    _m(
        "1: None for models of no cluster",
        CLUSTERS,
        "        return _keep(READS, model, _unrouted)",
        '        return _keep(READS, model, lambda _model, _instance: "default")',
        f"{T_POLICY}::test_without_replicas_the_router_answers_nothing_at_all",
    ),
    _m(
        "2: one replica for each unit of work",
        POLICY,
        "            if record.decision is None:\n"
        "                record.pick(*self._choose(self._client(unit, blocks), record.verdict.reason))\n"
        '            decision, answer = record.decision or self._because["no_replica"], record.answer',
        "            decision, answer = self._choose(self._client(unit, blocks), reason)",
        f"{T_POLICY}::test_one_unit_of_work_has_one_replica_whatever_it_reads",
    ),
    _m(
        "2: of threads that pick at the same time the first one's replica counts",
        UNIT,
        "            if self.decision is None:",
        "            if True:",
        f"{T_POLICY} -k same_time",
    ),
    _m(
        "2: in a block too",
        POLICY,
        "innermost.picks.setdefault(self, self._choose(self._client(unit, blocks), reason))",
        "innermost.picks[self] = self._choose(self._client(unit, blocks), reason)",
        f"{T_POLICY} -k same_time",
    ),
    _m(
        "4: asking for the write alias is no write",
        POLICY,
        "        if instance is None:\n            return self.primary\n",
        "        if (unit := open_unit()) is not None:\n            self.record(unit).write()\n"
        "        if instance is None:\n            return self.primary\n",
        f"{T_POLICY}::test_a_write_goes_to_the_primary_and_asking_for_it_changes_nothing",
    ),
    _m(
        "5: a raw write on the primary counts",
        GUARD,
        "        record.write()\n",
        "",
        f"{T_WRITES}::test_a_raw_write_on_the_primary_counts",
    ),
    _m(
        "6: a decorated view stays routed while its response renders",
        LAZY,
        "        _render_within(response, block)",
        "        pass",
        f"{T_BLOCKS}::test_a_decorated_view_keeps_its_choice_while_its_template_response_renders",
    ),
    # Instances and relations (8 to 13, 40)
    _m(
        "8, 9, 10, 13: an instance of the primary keeps its reads there",
        POLICY,
        "        elif instance is not None and self._is_on_primary(instance):",
        "        elif False:",
        f"{T_RELATIONS} -k refreshes_from or deferred_field or prefetch_after",
    ),
    _m(
        "11: objects of a replica can be added to relations",
        POLICY,
        "        return self._for_instances if self.owns(instance) else None",
        "        return self.primary if self.owns(instance) else None",
        f"{T_RELATIONS} -k added",
    ),
    _m(
        "12: relations within a cluster are allowed",
        "django_gmf_router/routers.py",
        "        return True if cluster",
        "        return None if cluster",
        f"{T_RELATIONS} -k many_to_many",
    ),
    _m(
        "40: an instance from outside the cluster stays there",
        POLICY,
        "        return alias is None or alias in self.aliases",
        "        return True",
        f"{T_RELATIONS}::test_an_object_of_another_database_is_saved_and_read_there",
    ),
    # Transactions (15 to 18)
    _m(
        "15: ATOMIC_REQUESTS' own transaction does not count",
        TRANSACTIONS,
        "        del blocks[0]",
        "        pass",
        f"{T_TRANSACTIONS}::test_the_transaction_of_atomic_requests_does_not_count_but_one_inside_does",
    ),
    _m(
        "15: a view that ATOMIC_REQUESTS leaves alone has transactions that count",
        TRANSACTIONS,
        'return wrapper.alias not in getattr(match.func, "_non_atomic_requests", ())',
        "return True",
        f"{T_TRANSACTIONS}::test_a_view_that_atomic_requests_leaves_alone_has_transactions_that_count",
    ),
    _m(
        "15: a TestCase's transactions do not count",
        TRANSACTIONS,
        " if not block._from_testcase]",
        "]",
        f"{T_TRANSACTIONS}::test_the_transactions_of_a_test_case_do_not_count",
    ),
    _m(
        "17: looking for a transaction opens no connection",
        POLICY,
        "if wrapper.autocommit or (wrapper",
        "if wrapper.get_autocommit() or (wrapper",
        f"{T_TRANSACTIONS}::test_looking_for_a_transaction_opens_no_connection",
    ),
    _m(
        "18: a GET that opens a transaction reads the primary",
        POLICY,
        "        elif counts(self.connection.wrapper, unit, record):",
        "        elif False:",
        f"{T_TRANSACTIONS}::test_a_get_that_opens_a_transaction_reads_the_primary_inside",
    ),
    _m(
        "18: a transaction that opens after a read went to a replica counts",
        POLICY,
        "if wrapper.autocommit or (wrapper.connection is None and not wrapper.in_atomic_block):",
        "if True:",
        f"{T_TRANSACTIONS}::test_a_transaction_by_hand_counts",
    ),
    # Contrib (19 to 21)
    _m(
        "19: sessions are primary models",
        "django_gmf_router/settings/values.py",
        '("sessions.*", "contenttypes.*", "django_cache.*")',
        '("contenttypes.*", "django_cache.*")',
        f"{T_POLICY}::test_sessions_and_content_types_are_primary_models",
    ),
    _m(
        "19: a session model of the site's own is one",
        PRIMARY_MODELS,
        " or (ALL_SESSIONS in labels and _is_session(model))",
        "",
        f"{T_POLICY}::test_a_session_model_of_the_sites_own_is_a_primary_model",
    ),
    _m(
        "19: the middleware is outermost",
        "django_gmf_router/checks.py",
        "    elif settings.MIDDLEWARE[0] != MIDDLEWARE:",
        "    elif False:",
        "tests/unit/test_checks.py -k W001",
    ),
    _m(
        "20: content types are primary models",
        "django_gmf_router/settings/values.py",
        '("sessions.*", "contenttypes.*", "django_cache.*")',
        '("sessions.*", "django_cache.*")',
        f"{T_POLICY}::test_sessions_and_content_types_are_primary_models",
    ),
    _m(
        "21: the database cache is on the primary",
        "django_gmf_router/settings/values.py",
        '("sessions.*", "contenttypes.*", "django_cache.*")',
        '("sessions.*", "contenttypes.*")',
        f"{T_WRITES}::test_the_database_cache_reads_back_what_it_was_told_and_pins_nothing",
    ),
    _m(
        "21: a stand-in that is no Model class is not kept",
        CLUSTERS,
        '    if getattr(model._meta, "apps", None) is apps:\n',
        "    if True:\n",
        f"{T_POLICY}::test_the_database_cache_whose_model_is_a_stand_in_is_on_the_primary",
    ),
    # Async and streaming (25 to 27)
    _m(
        "25: blocks are an immutable tuple, each task's own",
        BLOCKS,
        "        current_place.set(place(here.unit, (*here.blocks, OpenBlock(self, own))))",
        "        stack = list(here.blocks) + [OpenBlock(self, own)]\n"
        "        _shared = here.unit\n"
        "        current_place.set(place(here.unit, stack))\n"
        "        if _shared is not None:\n"
        "            type(_shared).blocks = stack",
        f"{T_BLOCKS} -k gather or nest",
    ),
    _m(
        "25: the unit of work is one mutable object",
        POLICY,
        "        record = unit.records.get(self.primary)\n        if record is None:\n            fresh = ",
        "        record = None\n        unit.records.clear()\n        if record is None:\n            fresh = ",
        f"{T_POLICY}::test_tasks_of_a_request_share_its_replica",
    ),
    _m(
        "26: a streamed body runs in its unit of work",
        "django_gmf_router/middleware.py",
        "            streams = response.streaming and stream_within(\n"
        "                response, lambda: entered(unit), partial(_end_of_body, unit, response)\n"
        "            )",
        "            pass",
        f"{T_REQUESTS}::test_a_streamed_body_is_routed_in_its_unit_of_work",
    ),
    _m(
        "26: an async streamed body too",
        LAZY,
        "            with self._scope():\n                return await self._body.__anext__()",
        "            return await self._body.__anext__()",
        f"{T_REQUESTS}::test_a_streamed_body_under_an_async_server_is_routed_in_its_unit_of_work",
    ),
    _m(
        "27: a closed unit of work routes like none",
        UNIT,
        "    return None if unit is None or unit.closed else unit",
        "    return unit",
        f"{T_POLICY}::test_a_closed_unit_of_work_routes_like_none",
    ),
    _m(
        "27: a closed unit of work has nothing settled",
        UNIT,
        "        self.closed = True\n        self.request = None\n        self.latest = NO_RECORD",
        "        self.closed = True\n        self.request = None",
        f"{T_POLICY}::test_a_closed_unit_of_work_routes_like_none",
    ),
    _m(
        "27: an exception closes the unit of work",
        "django_gmf_router/middleware.py",
        "        if not streams:\n            unit.close()",
        "        if not streams and response is not None:\n            unit.close()",
        f"{T_REQUESTS}::test_an_exception_closes_the_unit_of_work_and_leaves_nothing",
    ),
    # Infrastructure (34, 35, 38, 39)
    _m(
        "34: replicas are not migrated",
        CLUSTERS,
        "        raise ReplicaMigrationRefused(",
        "        ReplicaMigrationRefused(",
        f"{T_COMMANDS}::test_migrating_a_replica_is_refused_and_records_nothing",
    ),
    _m(
        "34: allow_migrate answers False for a replica",
        CLUSTERS,
        "    if alias != cluster.config.primary or of_app",
        "    if of_app",
        f"{T_POLICY}::test_replicas_are_not_migrated_and_other_aliases_left_to_others",
    ),
    _m(
        "34: a migration reads from the primary",
        POLICY,
        " or is_migrating()",
        "",
        f"{T_COMMANDS}::test_migrate_reads_from_the_primary_whatever_is_wanted_outside_requests",
    ),
    _m(
        "34: outside requests means primary",
        "django_gmf_router/settings/values.py",
        "choice(*Role, parse=Role), Role.PRIMARY,",
        "choice(*Role, parse=Role), Role.REPLICA,",
        f"{T_POLICY}::test_outside_requests_the_primary_is_read",
    ),
    _m(
        "35: in a test run a mirrored replica is read through the primary",
        POLICY,
        "self._mirrored if self._pool.is_mirrored(alias) else alias",
        "alias",
        f"{T_SITE} -k RowsOf",
    ),
    _m(
        "35: what a mirrored replica served is not the primary's",
        POLICY,
        " and not isinstance(alias, MirroredAlias)",
        "",
        f"{T_SITE}::test_relations_of_what_a_mirrored_replica_served_stay_with_the_replica",
    ),
    _m(
        "39: ATOMIC_REQUESTS on a replica is warned of",
        "django_gmf_router/checks.py",
        '        if _database(alias).get("ATOMIC_REQUESTS"):',
        "        if False:",
        "tests/unit/test_checks.py -k W007",
    ),
    # The rules of the policy themselves
    _m(
        "rule 2 before rule 3",
        CLUSTERS,
        "cluster.policy.read_primary_model if is_primary else cluster.policy.read",
        "cluster.policy.read",
        f"{T_POLICY}::test_a_primary_model_beats_use_replica",
    ),
    _m(
        "rule 3: blocks",
        POLICY,
        "        for block in reversed(blocks):\n            if block.role == Role.PRIMARY:",
        "        for block in ():\n            if block.role == Role.PRIMARY:",
        f"{T_POLICY} -k blocks_beat",
    ),
    _m(
        "rule 5: master wins",
        "django_gmf_router/routing/db_chooser.py",
        "        if self.master.matches(subject):",
        "        if False:",
        "tests/unit/routing/test_db_chooser.py",
    ),
    _m(
        "rule 7: what wrote reads the primary",
        POLICY,
        "        elif record.wrote:",
        "        elif False:",
        f"{T_WRITES}::test_a_get_that_writes_reads_its_own_write",
    ),
    _m(
        "rule 7: a write unsettles",
        UNIT,
        "            self.wrote = True\n            self.settled_for = None",
        "            self.wrote = True",
        f"{T_WRITES}::test_a_get_that_writes_reads_its_own_write",
    ),
    _m(
        "rule 7: statements on primary models do not count",
        GUARD,
        "        if primary_model:\n            return",
        "        if False:\n            return",
        f"{T_WRITES}::test_a_write_of_a_primary_model_does_not_count",
    ),
    # The guard
    _m(
        "the guard stands first of the execute wrappers",
        GUARD,
        "connection.execute_wrappers.insert(0, Guard(connection.alias, watch))",
        "connection.execute_wrappers.append(Guard(connection.alias, watch))",
        f"{T_WRITES}::test_the_guard_outlives_an_execute_wrapper_block_in_which_the_connection_opened",
    ),
    _m(
        "the guard is installed once",
        GUARD,
        "    if not any(isinstance(wrapper, Guard) for wrapper in connection.execute_wrappers):",
        "    if True:",
        f"{T_WRITES}::test_the_guard_is_installed_once_however_often_the_connection_opens",
    ),
    _m(
        "an unexpected write is logged once",
        GUARD,
        "            self._warned.add(key)",
        "            pass",
        f"{T_WRITES}::test_an_unexpected_write_is_logged_once_per_view_with_the_line_to_add",
    ),
    _m(
        "no pattern is advised that matches other pages",
        "django_gmf_router/routing/advice.py",
        "    if _catches_others(pattern, unit):",
        "    if False:",
        "tests/unit/routing/test_advice.py -k other_pages",
    ),
    _m(
        "patterns allow an unexpected write",
        "django_gmf_router/settings/values.py",
        "        return next(matching, self.otherwise)",
        "        return self.otherwise",
        f"{T_WRITES} -k patterns_say",
    ),
    _m(
        "an unexpected write can be refused",
        GUARD,
        '            raise UnexpectedWrite(f"{what} {advice.remedy(self._config, unit)}")',
        "            pass",
        f"{T_WRITES}::test_a_refused_write_is_refused_before_it_is_done",
    ),
    # One name, several servers
    _m(
        "E: connections are spread anew when an address is back",
        "django_gmf_router/replicas/monitor.py",
        "                    self._membership.note_return(after.alias)",
        "                    pass",
        "tests/unit/replicas/test_members.py -k back_raises",
    ),
    _m(
        "E: while a name fails its addresses hold",
        "django_gmf_router/replicas/addresses.py",
        "        if not found:\n            return known\n",
        "",
        "tests/unit/replicas/test_addresses.py -k while_a_name_fails",
    ),
    _m(
        "E: an address that is back is tried before one to which more is held",
        NODES,
        "sorted(shuffled(nodes), key=self.sockets.count)",
        "list(nodes)",
        "tests/unit/replicas/test_nodes.py -k fewest",
    ),
    _m(
        "E: a balanced name is not down since one of its servers was promoted",
        HEALTH,
        "        if self.health.balanced:\n",
        "        if False:\n",
        "tests/unit/replicas/test_health.py -k balanced_name_is_not_down",
    ),
    _m(
        "E: a balanced name is tried again",
        NODES,
        "        if self._monitor.health(own[0]).balanced:\n",
        "        if False:\n",
        "tests/unit/replicas/test_nodes.py -k tried_again",
    ),
    _m(
        "E: one refusal does not put a balanced name down",
        NODES,
        "if timed_out or not self._monitor.health(node).balanced:",
        "if True:",
        "tests/unit/replicas/test_nodes.py -k balanced",
    ),
    _m(
        "E: after an election a new connection is asked",
        PROBES,
        "elif was_open and reading.role != self._role:",
        "elif False:",
        "tests/unit/replicas/test_probes.py -k election",
    ),
    _m(
        "E: a read-only session may be had from a primary with target_session_attrs",
        NODES,
        'if params.get("target_session_attrs") == "read-write":',
        "if False:",
        "tests/unit/replicas/test_nodes.py -k libpq",
    ),
    _m(
        "E: an address that gets company is no balancer any more",
        "django_gmf_router/replicas/observer.py",
        " or tracker.health.balanced != health.balanced:",
        ":",
        "tests/unit/replicas/test_members.py -k company",
    ),
    # Read your writes
    _m(
        "B: who wrote is not served by a replica that lacks it",
        POOL,
        "        return alias if self._freshness.has(alias, mark) else None",
        "        return alias",
        f"{T_FRESHNESS} -k prefers",
    ),
    _m(
        "B: a replica that is known to have it is not asked",
        POOL,
        "        if known or not candidates:\n",
        "        if False:\n",
        f"{T_FRESHNESS} -k prefers",
    ),
    _m(
        "B: a replica that does not follow the primary of now serves no token",
        POOL,
        "if self._freshness.follows(pair[0], mark))",
        "if True)",
        f"{T_FRESHNESS} -k only_those_that_follow",
    ),
    _m(
        "B: nor does one that a read moved to",
        FRESHNESS,
        " and (node == self._primary or self.follows(node, mark))",
        "",
        f"{T_FRESHNESS} -k is_not_known_to_follow",
    ),
    _m(
        "B: nor one that is connected to in its stead",
        FRESHNESS,
        " or not self.follows(node, mark):",
        ":",
        f"{T_FRESHNESS} -k is_not_known_to_follow",
    ),
    _m(
        "B: a stray that the primary passes does not follow it",
        "django_gmf_router/replicas/following.py",
        "health.position >= way.goal)",
        "goal >= health.position)",
        "tests/unit/replicas/test_following.py -k stray",
    ),
    _m(
        "B: after a promotion a replica has to be seen anew",
        "django_gmf_router/replicas/following.py",
        "            self._ways.clear()",
        "            pass",
        "tests/unit/replicas/test_following.py -k promotion",
    ),
    _m(
        "B: what an async body wrote is remembered in the thread that wrote",
        LAZY,
        "await sync_to_async(self.close)()",
        "self.close()",
        "tests/unit/routing/test_lazy_response.py -k async_body",
    ),
    _m(
        "B: a token of another history goes to the primary",
        POOL,
        "if position is None or not self._freshness.is_of_this_history(mark):",
        "if position is None:",
        "tests/unit/replicas/test_freshness.py -k another_history_is_not_picked",
    ),
    _m(
        "B: what was known before a restart is forgotten",
        FRESHNESS,
        "        if generation == health.generation:\n",
        "        if True:\n",
        f"{T_FRESHNESS} -k forgotten",
    ),
    _m(
        "B: what was known before the server went away does not count",
        FRESHNESS,
        " and self._monitor.is_connected(alias)",
        "",
        f"{T_FRESHNESS} -k went_away",
    ),
    _m(
        "B: a connection that moved is asked",
        FRESHNESS,
        "alias in self._balanced or not self._is_at_home(alias)",
        "alias in self._balanced",
        f"{T_FRESHNESS} -k moved",
    ),
    _m(
        "B: a balanced alias is asked each time",
        FRESHNESS,
        "alias in self._balanced or not",
        "not",
        f"{T_FRESHNESS} -k balanced",
    ),
    _m(
        "B: a promoted replica has no position of the primary's",
        FRESHNESS,
        'positions.LARGEST if getattr(wrapper, "node", alias) == self._primary else 0',
        "positions.LARGEST",
        f"{T_FRESHNESS} -k promoted",
    ),
    _m(
        "B: a write gives a token",
        "django_gmf_router/middleware.py",
        "                remembering.remember(unit, request, response)\n        finally",
        "                pass\n        finally",
        f"{T_CONSISTENCY} -k gives_a_token",
    ),
    _m(
        "B: an async view's write gives a token",
        "django_gmf_router/middleware.py",
        "await sync_to_async(remembering.remember)(unit, request, response)",
        "pass",
        f"{T_CONSISTENCY} -k async_view",
    ),
    _m(
        "B: a write without a position counts for the window",
        POOL,
        "self._clock() - wanted.time > self._window",
        "True",
        f"{T_FRESHNESS} -k window",
    ),
    _m(
        "B: read_after with a token that is not ours reads the primary",
        "django_gmf_router/reading.py",
        ", unmet=parsed is None",
        "",
        f"{T_CONSISTENCY} -k not_ours",
    ),
    _m(
        "B: what is selected by hand for the primary counts as a write",
        GUARD,
        " and not (statement.by_hand and self._is_for_the_primary(unit))",
        "",
        f"{T_CONSISTENCY} -k by_hand",
    ),
    # A dying node
    _m(
        "C: replicas that are down or lag are not picked",
        POOL,
        " if snapshot[pair[0]].state == State.UP)",
        ")",
        f"{T_FRESHNESS} -k down_or_lag",
    ),
    _m(
        "C: nothing moves inside a transaction",
        MOVES,
        "    if wrapper.in_atomic_block or not wrapper.autocommit:\n        return False\n",
        "",
        f"{T_MOVES} -k transaction",
    ),
    _m(
        "C: a unit of work moves twice at most",
        MOVES,
        "    return unit.moves <= MOVES",
        "    return True",
        f"{T_MOVES} -k twice",
    ),
    _m(
        "C: a write never moves",
        MOVES,
        " or sql is None or not classify(sql).writes",
        " or True",
        f"{T_MOVES} -k write",
    ),
    _m(
        "C: a read of the primary moves only in a request that only reads",
        MOVES,
        "if wrapper.alias == policy.primary and not policy.only_reads():",
        "if False:",
        f"{T_MOVES} -k only_reads",
    ),
    _m(
        "C: a view without a primary answers 503",
        "django_gmf_router/middleware.py",
        "        return None if failure is None else unavailable.respond(request, failure)",
        "        return None",
        "tests/integration/test_unavailable.py -k a_view_that_needs",
    ),
    _m(
        "C: an unsaved session does not fail a GET",
        "django_gmf_router/unsaved_sessions.py",
        '        (("save", "asave"), _as_it_was, _is_no_new_session),',
        "",
        "tests/integration/test_unavailable.py -k cannot_be_saved_is_served",
    ),
    _m(
        "C: an unsaved session fails a POST",
        "django_gmf_router/unsaved_sessions.py",
        " or not cluster.policy.only_reads():",
        ":",
        "tests/integration/test_unavailable.py -k a_post_whose",
    ),
    _m(
        "C: a GET that logs out is not told that it is done",
        "django_gmf_router/unsaved_sessions.py",
        "    return caller in {auth.get_user.__code__, auth.aget_user.__code__}",
        "    return True",
        "tests/integration/test_unavailable.py -k logs_in_or_out",
    ),
    _m(
        "C: a page of errors that needs the primary is a 503",
        "django_gmf_router/unavailable.py",
        "    if unit.failure is not None:\n        return\n",
        "    raise error\n",
        "tests/integration/test_unavailable.py -k whatever_becomes_of_the_error_page",
    ),
    _m(
        "C: a 503 is no ERROR of django.request",
        "django_gmf_router/unavailable.py",
        "    response._has_been_logged = True",
        "    response.x = True",
        "tests/integration/test_unavailable.py -k administrator",
    ),
    _m(
        "C: a hung read is set free",
        SOCKETS,
        "                    duplicate.shutdown(socket.SHUT_RDWR)",
        "                    pass",
        "tests/unit/replicas/test_sockets.py -k hangs",
    ),
    _m(
        "C: a closed server is seen behind unread words",
        SOCKETS,
        'getattr(select, "POLLRDHUP", 0) | ',
        "",
        "tests/unit/replicas/test_sockets.py -k unread",
    ),
    # The other services
    _m(
        "services: readers have the primary last",
        BUILD,
        "[*_shuffled(replicas, dice), *primaries]",
        "[*primaries, *_shuffled(replicas, dice)]",
        f"{T_BUILD}::test_the_replicas_stand_in_a_random_order_by_weight_with_the_primary_last",
    ),
    _m(
        "services: the order is random, by weight",
        BUILD,
        "dice.random() ** (1 / node.weight)",
        "dice.random()",
        f"{T_BUILD}::test_the_replicas_stand_in_a_random_order_by_weight_with_the_primary_last",
    ),
    _m(
        "services: readers have read-only sessions",
        BUILD,
        "options=read_only_options(reading.options)",
        "options=reading.options",
        f"{T_BUILD}::test_readers_have_read_only_sessions_once",
    ),
    _m(
        "services: replicas that log in differently have no list of hosts in common",
        BUILD,
        "            if getattr(found, key) != getattr(agreed, key):",
        "            if False:",
        f"{T_BUILD}::test_replicas_that_log_in_differently_are_refused",
    ),
    _m(
        "services: a line break ends a value",
        ENTRIES,
        "    if not text.isprintable() or text != text.strip():",
        "    if False:",
        f"{T_BUILD}::test_what_cannot_be_handed_on_is_one_line_that_names_the_alias",
    ),
    _m(
        "services: passwords are no keywords that are handed on",
        ENTRIES,
        " and not _SECRET.fullmatch(key)",
        "",
        f"{T_BUILD}::test_keywords_of_libpq_are_handed_on_and_neither_djangos_nor_passwords",
    ),
    _m(
        "services: no keyword that an older libpq refuses",
        CONNINFO,
        "        if options.libpq >= LOAD_BALANCE_SINCE:\n            found",
        "        if True:\n            found",
        f"{T_FORMATS}::test_an_older_libpq_gets_no_keyword_that_it_does_not_know",
    ),
    _m(
        "services: HAProxy's readers end at the primary",
        HAPROXY,
        '            f"use_backend {primary} if {{ nbsrv({replicas}) eq 0 }}",\n',
        "",
        f"{T_FORMATS}::test_haproxy_sends_writers_to_the_primary_and_readers_there_last",
    ),
    _m(
        "services: a role that writes is never made read-only",
        PGBOUNCER,
        "    if reading.login.user != writing.login.user:",
        "    if reading.login.user:",
        f"{T_FORMATS}::test_a_role_that_writes_is_never_made_read_only",
    ),
    # Schemas
    _m(
        "D: a schema name is measured in bytes",
        "django_gmf_router/postgres/names.py",
        "size = len(name.encode())",
        "size = len(name)",
        "tests/unit/schemas/test_names.py -k refused",
    ),
    _m(
        "D: a schema name is escaped in libpq's options",
        "django_gmf_router/postgres/session_options.py",
        r"""re.sub(r"([\\\s])", r"\\\1", value)""",
        "value",
        "tests/unit/schemas/test_options.py -k sound_name",
    ),
    _m(
        "D: a foreign key from static to main is an error",
        "django_gmf_router/schemas/checks.py",
        "            if target.app_label not in schemas.static_apps:",
        "            if target.app_label is None:",
        "tests/unit/schemas/test_checks.py -k foreign_key",
    ),
    _m(
        "D: a migration of static does not depend on main",
        "django_gmf_router/schemas/checks.py",
        "        if child[0] in static and parent[0] not in static:",
        "        if child[0] in static and parent[0] is None:",
        "tests/unit/schemas/test_checks.py -k static_migration",
    ),
    _m(
        "C: a primary that is known to be down is the last resort of reads on its alias",
        "django_gmf_router/replicas/candidates.py",
        "    if not is_first:\n",
        "    if False:\n",
        "tests/chaos/test_primary.py -k nothing_but_503",
    ),
    _m(
        "C: a connection to a demoted primary does not outlive the request",
        "django_gmf_router/backends/mixin.py",
        "is_standby(connection, unsure=False)",
        "False",
        "tests/chaos/test_primary.py -k last_node",
    ),
    _m(
        "C: where replicas answer, a primary that is down costs no time-out",
        "django_gmf_router/backends/connecting.py",
        "return self._answered and node",
        "return False and node",
        "tests/chaos/test_primary.py -k just_written",
    ),
    _m(
        "D: every session gets the search_path",
        "django_gmf_router/backends/mixin.py",
        '            params["options"] = with_search_path(params.get("options"), schemas.path)',
        "            pass",
        f"{T_SCHEMAS} -k sessions_of_every",
    ),
    _m(
        "D: a history is looked for in its own schema alone",
        MIGRATING,
        "search_path(schema), local=True",
        'search_path(schema, "public"), local=True',
        f"{T_SCHEMAS} -k each_schema_has",
    ),
    _m(
        "D: both histories are seen as one",
        MIGRATING,
        "        for schema in (schemas.static, schemas.main):",
        "        for schema in (schemas.main,):",
        f"{T_SCHEMAS} -k one_history",
    ),
    _m(
        "D: a migration is recorded in the schema of its app",
        MIGRATING,
        "        with in_schema(connection, schemas.schema_of(app)):",
        "        with in_schema(connection, schemas.main):",
        f"{T_SCHEMAS} -k each_schema_has",
    ),
    _m(
        "D: tables land in the schema of their app",
        MIGRATING,
        "on_path(connection, *schemas.path_of(app_label))",
        "on_path(connection, *schemas.path)",
        f"{T_SCHEMAS} -k each_schema_has",
    ),
    _m(
        "D: tables of apps without migrations do too",
        MIGRATING,
        "            with as_app(connection, next(iter(labels))):",
        "            with ExitStack():",
        f"{T_SCHEMAS} -k static_app_without",
    ),
    _m(
        "D: of two that migrate the second waits",
        "django_gmf_router/management/commands/gmf_migrate.py",
        "waiting=self._waiting",
        "waiting=None",
        f"{T_SCHEMAS} -k at_once",
    ),
    _m(
        "D: plain migrate is refused",
        PREPARING,
        "    if not _is_for_tests(connection):",
        "    if connection is None:",
        f"{T_SCHEMAS} -k plain_migrate",
    ),
    _m(
        "D: a test database gets its schemas",
        PREPARING,
        "    create_missing(connection)",
        "    pass",
        f"{T_SCHEMAS} -k manage_py_test",
    ),
    _m(
        "D: one that waits for the lock holds no snapshot",
        "django_gmf_router/schemas/lock.py",
        '        while not _ask(connection, "pg_try_advisory_lock"):',
        '        while _ask(connection, "pg_advisory_lock"):',
        "tests/cluster/test_schemas_lock.py -k concurrently",
    ),
    # Cloning a schema (D)
    _m(
        "D: COMMIT only after every program ended well",
        f"{CLONING}/feed.py",
        "        if code != 0:\n",
        "        if code == -99:\n",
        "tests/unit/schemas/cloning/test_feed.py -k nothing_is_committed",
    ),
    _m(
        "D: psql is killed before its input ends",
        f"{CLONING}/feed.py",
        "        end(self._psql)\n        with suppress(BrokenPipeError):\n            self._pipe.close()\n",
        "        self._pipe.close()\n        self._psql.wait()\n",
        "tests/unit/schemas/cloning/test_feed.py -k killed_before",
    ),
    _m(
        "D: programs of the server's own version only",
        f"{CLONING}/programs.py",
        "        if version == major:",
        "        if version is not None:",
        "tests/unit/schemas/cloning/test_parts.py -k another_major",
    ),
    _m(
        "D: names beside a target fit",
        f"{CLONING}/backups.py",
        "    if len((target + suffix).encode()) <= MAX_BYTES:",
        "    if True:",
        "tests/unit/schemas/cloning/test_parts.py -k never_exceed",
    ),
    _m(
        "D: only foreign keys that leave are left out",
        f"{CLONING}/building.py",
        "    if catalog == PG_CONSTRAINT and oid in oids:",
        "    if oid in oids:",
        "tests/unit/schemas/cloning/test_parts.py -k only_the_keys",
    ),
    _m(
        "D: no repetition inside a transaction",
        MOVES,
        "    if wrapper.in_atomic_block or not wrapper.autocommit:",
        "    if not wrapper.autocommit:",
        "tests/unit/routing/test_moves.py -k not_even_begun",
    ),
]
