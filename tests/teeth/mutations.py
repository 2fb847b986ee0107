"""Which line keeps which promise of the package, and which test notices when it is gone?

One line for each promise that somebody relies on; all the other lines are for `make mutants`. A quote is the shortest
text that stands once in its file: tests/unit/test_teeth.py says at once which one does not any more.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """A promise, and how to break it."""

    promise: str
    # The file, below the root, and the part of a line in it that keeps the promise.
    file: str
    quote: str
    # What stands there once the promise is broken.
    instead: str
    # The test that has to fail then, as pytest names it.
    test: str


MUTATIONS = (
    # What the doctor finds.
    Mutation(
        promise="gmf_doctor ends with 1 where something is wrong",
        file="django_gmf_router/management/commands/gmf_doctor.py",
        quote="sys.exit(1)",
        instead="pass",
        test="tests/integration/test_commands.py::test_doctor_ends_with_1_where_a_node_gives_no_connection",
    ),
    Mutation(
        promise="a replica that nothing can reach is wrong, though it lacks nothing yet",
        file="django_gmf_router/doctor/node_questions.py",
        quote="return is_postgresql and node.vitals.receivers == 0 and node.vitals.restores is False",
        instead="return False",
        test="tests/unit/doctor/test_node_questions.py::test_a_replica_that_does_not_follow",
    ),
    # What operators say.
    Mutation(
        promise="in maintenance a request reads from replicas",
        file="django_gmf_router/routing/rules.py",
        quote="return is_request and not read.record.wrote and read.pool.is_in_maintenance()",
        instead="return False",
        test="tests/integration/test_maintenance.py::test_whatever_a_request_reads_a_replica_serves",
    ),
    Mutation(
        promise="in maintenance a request writes nothing",
        file="django_gmf_router/routing/writes.py",
        quote="raise MaintenanceMode(self.primary, steering.maintenance_reason)",
        instead="pass",
        test="tests/integration/test_maintenance.py::test_a_request_writes_neither_by_the_orm_nor_by_a_cursor",
    ),
    Mutation(
        promise="a request that had begun to write before the maintenance ends as it began",
        file="django_gmf_router/routing/writes.py",
        quote="if steering.maintenance and not self._policy.record(unit).wrote:",
        instead="if steering.maintenance:",
        test="tests/integration/test_maintenance.py::test_a_request_that_had_begun_to_write_ends_as_it_began",
    ),
    Mutation(
        promise="who is in maintenance can end it from a page",
        file="django_gmf_router/routing/writes.py",
        quote=" or {*statement.tables} == {CONTROL}:",
        instead=":",
        test="tests/integration/test_maintenance.py::test_who_steers_may_write_that",
    ),
    Mutation(
        promise="maintenance logs nobody out",
        file="django_gmf_router/unavailable/unsaved_sessions.py",
        quote="cluster.writes.only_wants_to_read() if in_maintenance else cluster.reads.only_reads()",
        instead="False",
        test="tests/integration/test_maintenance.py::test_a_session_is_not_saved_and_its_client_stays_logged_in",
    ),
    Mutation(
        promise="a drained replica gets no new unit of work",
        file="django_gmf_router/replicas/health.py",
        quote=" if replica.alias not in drained]",
        instead="]",
        test="tests/unit/replicas/test_drained.py::test_a_drained_replica_is_never_picked_until_it_is_put_back",
    ),
    Mutation(
        promise="what lasts leaves a drained replica",
        file="django_gmf_router/replicas/pool.py",
        quote="if (for_ever or streams) and (",
        instead="if False and (",
        test="tests/unit/replicas/test_drained.py::test_a_page_ends_on_it_and_what_lasts_leaves_it",
    ),
    Mutation(
        promise="nothing new connects to a drained replica",
        file="django_gmf_router/replicas/nodes.py",
        quote="return is_drained or self.is_down(node)",
        instead="return self.is_down(node)",
        test="tests/unit/replicas/test_drained.py::test_nothing_new_connects_to_it",
    ),
    # The policy: which database a read may use; the numbers are those of the table of rules.
    Mutation(
        promise="rule 2: a primary model is read from the primary",
        file="django_gmf_router/routers.py",
        quote="if is_primary_model(config.primary_models, model):",
        instead="if False:",
        test="tests/unit/routing/test_policy.py::test_a_primary_model_beats_use_replica",
    ),
    Mutation(
        promise="rule 3: the innermost block wins",
        file="django_gmf_router/routing/rules.py",
        quote="innermost_role(read.blocks) == PRIMARY",
        instead="False",
        test="tests/unit/routing/test_policy.py::test_blocks_beat_every_rule_over_the_request",
    ),
    Mutation(
        promise="rule 4: outside requests the primary is read",
        file="django_gmf_router/settings/values.py",
        quote="choice(*Role, parse=Role), Role.PRIMARY,",
        instead="choice(*Role, parse=Role), Role.REPLICA,",
        test="tests/unit/routing/test_policy.py::test_outside_requests_the_primary_is_read",
    ),
    Mutation(
        promise="rule 5: a master pattern wins",
        file="django_gmf_router/routing/rules.py",
        quote="lambda read: read.record.verdict.master is not None",
        instead="lambda read: False",
        test="tests/unit/routing/test_policy.py::test_rules_5_and_6_send_reads_to_the_primary",
    ),
    Mutation(
        promise="rule 6: a request that may write reads the primary",
        file="django_gmf_router/routing/rules.py",
        quote='lambda read: read.record.verdict.reason == "write_method"',
        instead="lambda read: False",
        test="tests/unit/routing/test_policy.py::test_rules_5_and_6_send_reads_to_the_primary",
    ),
    Mutation(
        promise="rule 7: what wrote reads its own write",
        file="django_gmf_router/routing/rules.py",
        quote="lambda read: read.record.wrote > 0",
        instead="lambda read: False",
        test="tests/integration/test_writes.py::test_a_get_that_writes_reads_its_own_write",
    ),
    Mutation(
        promise="rule 8: a read joins the transaction that is open",
        file="django_gmf_router/routing/rules.py",
        quote="return read.unit is not None and _counts(",
        instead="return False and transactions.counts(",
        test="tests/integration/test_transactions.py::test_a_get_that_opens_a_transaction_reads_the_primary_inside",
    ),
    Mutation(
        promise="rule 8: ATOMIC_REQUESTS' own transaction does not count",
        file="django_gmf_router/routing/rules.py",
        quote="if record.own_transaction is None and",
        instead="if False and",
        test="tests/integration/test_transactions.py::test_the_transaction_of_atomic_requests_does_not_count_but_one_inside_does",
    ),
    Mutation(
        promise="rule 9: an instance of the primary is followed there",
        file="django_gmf_router/routing/rules.py",
        quote="return alias == read.connection.wrapper.alias and",
        instead="return False and",
        test="tests/unit/routing/test_policy.py::test_an_instance_of_the_primary_keeps_its_reads_there",
    ),
    Mutation(
        promise="a unit of work has one replica, though threads pick at the same time",
        file="django_gmf_router/routing/unit_of_work.py",
        quote="if self.decision is instead_of:",
        instead="if True:",
        test="tests/unit/routing/test_policy.py::test_threads_of_a_request_that_read_first_at_the_same_time_share_its_replica",
    ),
    Mutation(
        promise="a streamed body is routed in its unit of work",
        file="django_gmf_router/middleware.py",
        quote="stream_within(response, within(unit), partial(",
        instead="stream_within(response, within(UnitOfWork()), partial(",
        test="tests/integration/test_requests.py::test_a_streamed_body_is_routed_in_its_unit_of_work",
    ),
    Mutation(
        promise="nothing of a request that failed is left to the next one",
        file="django_gmf_router/middleware.py",
        quote="if not streams:",
        instead="if response is not None and not streams:",
        test="tests/integration/test_requests.py::test_an_exception_closes_the_unit_of_work_and_leaves_nothing",
    ),
    Mutation(
        promise="an object from outside the cluster stays where it is",
        file="django_gmf_router/routing/policy.py",
        quote="alias is None or alias in self.aliases",
        instead="True",
        test="tests/unit/routing/test_policy.py::test_an_instance_from_outside_the_cluster_stays_where_it_is",
    ),
    Mutation(
        promise="a replica is never migrated",
        file="django_gmf_router/routing/primary_models.py",
        quote="raise ReplicaMigrationRefused(",
        instead="ReplicaMigrationRefused(",
        test="tests/integration/test_commands.py::test_migrating_a_replica_is_refused_and_records_nothing",
    ),
    Mutation(
        promise="an object of a replica writes through its generic relations to the primary",
        file="django_gmf_router/routing/aliases.py",
        quote="return None if type(value) is RoutedAlias else value",
        instead="return value",
        test="tests/integration/test_relations.py::test_a_write_through_a_generic_relation_inside_use_replica_goes_to_the_primary",
    ),
    # What a site says itself.
    Mutation(
        promise="a miss on a replica is asked of the primary where the site says so",
        file="django_gmf_router/routing/misses.py",
        quote="return alias.primary if type(alias) is RoutedAlias and alias != alias.primary else None",
        instead="return None",
        test="tests/integration/test_misses.py::test_a_miss_is_asked_of_the_primary",
    ),
    Mutation(
        promise="a model that saves in its own way is saved by update_or_create",
        file="django_gmf_router/routing/misses.py",
        quote="any(getattr(model, name) is not getattr(Model, name) for name in SAVING)",
        instead="False",
        test="tests/integration/test_misses.py::test_a_model_that_saves_in_its_own_way_is_saved_as_ever",
    ),
    Mutation(
        promise="a mutation of GraphQL reads from the primary",
        file="django_gmf_router/contrib/graphql.py",
        quote="if OperationType.MUTATION in kinds:",
        instead="if False:",
        test="tests/unit/contrib/test_graphql.py::test_an_operation_says_where_it_may_read",
    ),
    # The guard: what is written is seen on the wire.
    Mutation(
        promise="a raw write counts",
        file="django_gmf_router/routing/writes.py",
        quote="        record.write()",
        instead="        pass",
        test="tests/integration/test_writes.py::test_a_raw_write_on_the_primary_counts",
    ),
    Mutation(
        promise="a function that is selected by hand in a request for the primary counts",
        file="django_gmf_router/routing/writes.py",
        quote="statement.by_hand and",
        instead="False and",
        test="tests/integration/test_consistency.py::test_what_was_selected_by_hand_in_a_request_for_the_primary_counts_as_a_write",
    ),
    Mutation(
        promise="a write of a session does not count",
        file="django_gmf_router/routing/writes.py",
        quote="if is_alone and all(table is not None and table.is_unread",
        instead="if False and all(table is not None and table.is_unread",
        test="tests/integration/test_writes.py::test_a_write_of_a_primary_model_does_not_count",
    ),
    Mutation(
        promise="an unexpected write can be refused",
        file="django_gmf_router/routing/writes.py",
        quote="raise UnexpectedWrite(",
        instead="UnexpectedWrite(",
        test="tests/integration/test_writes.py::test_a_refused_write_is_refused_before_it_is_done",
    ),
    # The token: a client reads what it wrote, and nobody forges that.
    Mutation(
        promise="a forged token is none",
        file="django_gmf_router/consistency/tokens.py",
        quote="Signer(salt=SALT).unsign(text)",
        instead='text.rpartition(":")[0]',
        test="tests/unit/consistency/test_tokens.py::test_a_text_signed_with_another_key_is_refused",
    ),
    Mutation(
        promise="a token ends",
        file="django_gmf_router/consistency/tokens.py",
        quote="<= age <= max_age_seconds",
        instead="<= age",
        test="tests/unit/consistency/test_tokens.py::test_a_token_counts_for_its_max_age",
    ),
    Mutation(
        promise="a page with a token is in no shared cache",
        file="django_gmf_router/consistency/stores.py",
        quote="patch_cache_control(response, private=True)",
        instead="pass",
        test="tests/unit/consistency/test_stores.py::test_a_response_with_a_token_is_kept_from_shared_caches",
    ),
    Mutation(
        promise="of two writes the larger position stays",
        file="django_gmf_router/consistency/tokens.py",
        quote="max(self.position, other.position)",
        instead="other.position",
        test="tests/unit/consistency/test_tokens.py::test_a_later_write_keeps_the_larger_position",
    ),
    Mutation(
        promise="a replica that lacks the write does not serve its client",
        file="django_gmf_router/replicas/pool.py",
        quote="if self.freshness.has(alias, mark) else None",
        instead="or None",
        test="tests/unit/replicas/test_freshness.py::test_the_pool_prefers_who_is_known_to_have_it_then_asks_then_leaves_it_to_the_primary",
    ),
    Mutation(
        promise="a position of before a promotion proves nothing",
        file="django_gmf_router/replicas/pool.py",
        quote="not self.freshness.is_of_this_history(mark)",
        instead="False",
        test="tests/unit/replicas/test_freshness.py::test_a_replica_for_a_mark_of_another_history_is_not_picked",
    ),
    Mutation(
        promise="nor does that of a replica that a promotion left behind",
        file="django_gmf_router/replicas/observer.py",
        quote="self._ways.clear()",
        instead="pass",
        test="tests/unit/replicas/test_lineage.py::test_after_a_promotion_it_has_to_be_seen_anew",
    ),
    Mutation(
        promise="the user is never read eventually",
        file="django_gmf_router/routing/policy.py",
        quote="if is_eventual(blocks) and is_user(model):",
        instead="if False:",
        test="tests/integration/test_consistency.py::test_the_user_is_never_read_eventually",
    ),
    # Moves: which node serves while others fail.
    Mutation(
        promise="a replica that is down or lags is not picked",
        file="django_gmf_router/replicas/health.py",
        quote="snapshot[replica.alias].state == state",
        instead="True",
        test="tests/unit/replicas/test_freshness.py::test_replicas_that_are_down_or_lag_are_not_picked",
    ),
    Mutation(
        promise="a slow replica is not picked like any other",
        file="django_gmf_router/replicas/health.py",
        quote="(up, [alias for alias, _ in slow]) if up else",
        instead="(up + slow, ()) if up else",
        test="tests/unit/replicas/test_slow_replicas.py"
        "::test_a_slow_replica_is_picked_once_in_a_while_and_always_where_no_other_may_serve",
    ),
    Mutation(
        promise="never more than half of the replicas are slow",
        file="django_gmf_router/replicas/latency.py",
        quote="and rank < len(pool) // 2",
        instead="",
        test="tests/unit/replicas/test_latency.py::test_of_three_of_which_two_are_slow_the_slower_one_is",
    ),
    Mutation(
        promise="a replica that hangs holds not every thread",
        file="django_gmf_router/replicas/pool.py",
        quote=" if count < max(AT_ONCE, share * candidate[1])",
        instead="",
        test="tests/unit/replicas/test_latency.py"
        "::test_before_anything_is_known_a_node_that_hangs_holds_not_every_thread",
    ),
    Mutation(
        promise="nothing moves inside a transaction",
        file="django_gmf_router/routing/reads.py",
        quote="if wrapper.in_atomic_block or not wrapper.autocommit:",
        instead="if False:",
        test="tests/unit/routing/test_moves.py::test_nothing_moves_inside_a_transaction",
    ),
    Mutation(
        promise="a write is never repeated",
        file="django_gmf_router/routing/reads.py",
        quote="or not classify(sql).writes",
        instead="or True",
        test="tests/unit/routing/test_moves.py::test_a_write_never_moves",
    ),
    Mutation(
        promise="a read of the primary moves only in a request that only reads",
        file="django_gmf_router/routing/reads.py",
        quote="or self.only_reads())",
        instead="or True)",
        test="tests/unit/routing/test_moves.py::test_a_read_of_the_primary_moves_only_in_a_request_that_only_reads",
    ),
    Mutation(
        promise="a unit of work moves twice at most",
        file="django_gmf_router/routing/reads.py",
        quote="return unit.moves <= MOVES",
        instead="return True",
        test="tests/unit/routing/test_moves.py::test_a_unit_of_work_moves_twice_at_most",
    ),
    Mutation(
        promise="a read that hangs on a frozen server is freed",
        file="django_gmf_router/postgres/sockets.py",
        quote="self._socket.shutdown(socket.SHUT_RDWR)",
        instead="pass",
        test="tests/unit/postgres/test_sockets.py::test_a_read_that_hangs_fails_at_once",
    ),
    Mutation(
        promise="a view without a primary answers 503",
        file="django_gmf_router/middleware.py",
        quote="return None if failure is None else unavailable.respond(request, failure)",
        instead="return None",
        test="tests/integration/test_unavailable.py::test_a_view_that_needs_the_primary_answers_503",
    ),
    # Jobs.
    Mutation(
        promise="a task that runs where it is called reads what its caller wrote",
        file="django_gmf_router/contrib/celery.py",
        quote="token_to_send() if request.is_eager else",
        instead="None if request.is_eager else",
        test="tests/integration/test_celery.py::test_it_reads_what_its_caller_wrote",
    ),
    Mutation(
        promise="a task that is sent inside a transaction reads from the primary",
        file="django_gmf_router/own_writes/__init__.py",
        quote="any(map(_is_in_transaction, clusters.registry().clusters))",
        instead="False",
        test="tests/integration/test_celery.py::test_a_message_carries_what_was_written_and_nothing_where_nothing_was",
    ),
    Mutation(
        promise="a token that could not be made does not look like nothing written",
        file="django_gmf_router/contrib/celery.py",
        quote="headers[HEADER] = UNKNOWN",
        instead="pass",
        test="tests/integration/test_celery.py::test_what_fails_unforeseen_does_not_look_like_nothing_written",
    ),
    Mutation(
        promise="a task that ended leaves nothing to whoever called it",
        file="django_gmf_router/own_writes/jobs.py",
        quote="while unit is not None and unit not in self._before:",
        instead="while False:",
        test="tests/integration/test_celery.py::test_one_that_fails_leaves_its_caller_where_it_stood",
    ),
    # What load balancers go by.
    Mutation(
        promise="only where no node answers a web server is out",
        file="django_gmf_router/views/health.py",
        quote="if down == config.aliases:",
        instead="if down:",
        test="tests/integration/test_health.py::test_a_dead_replica_takes_no_web_server_out",
    ),
    Mutation(
        promise="who is not staff is told states and nothing else",
        file="django_gmf_router/views/health.py",
        quote="level > Level.SERVING and _is_staff(request)",
        instead="True",
        test="tests/integration/test_health.py::test_who_is_not_staff_is_told_states_and_nothing_else",
    ),
    Mutation(
        promise="an answer of health opens no transaction",
        file="django_gmf_router/views/health.py",
        quote="transaction.non_atomic_requests(using=_alias)(health)",
        instead="pass",
        test="tests/integration/test_health.py::test_atomic_requests_open_no_transaction_for_it",
    ),
    # The feed of clone_schema: a copy is whole or there is none.
    Mutation(
        promise="nothing is committed after a program that failed",
        file="django_gmf_router/schemas/cloning/psql.py",
        quote="if code != 0:",
        instead="if False:",
        test="tests/unit/schemas/cloning/test_psql.py::test_after_a_program_that_failed_nothing_is_committed",
    ),
    Mutation(
        promise="psql never takes the end of half a dump for its end",
        file="django_gmf_router/schemas/cloning/psql.py",
        quote="program.kill()",
        instead="program.communicate()",
        test="tests/unit/schemas/cloning/test_psql.py::test_after_an_exception_psql_is_killed_before_its_input_ends",
    ),
)
