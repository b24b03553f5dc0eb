"""Which test stands for which attack on git's surface, on what is shared, on models, and on trust and history."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
ROWS: dict[str, tuple[str, ...]] = {
    "an address that runs a shell": (
        "git/test_remotes.py::test_refused_addresses", "git/test_remotes.py::test_whatever_passes_is_no_option_and_no_helper",
    ),
    "flags in user text": ("git/test_hostile.py::test_user_text_never_becomes_an_option",),
    "text split into arguments": ("git/test_hostile.py::test_settings_are_never_built_from_text",),
    "a dash at the start of a host, path, ref or name": (
        "git/test_remotes.py::test_refused_addresses", "hostile/test_names.py::test_branches",
        "hostile/test_names.py::test_asset_names",
    ),
    "lines in values of git's configuration": (
        "git/test_hostile.py::test_settings_are_never_built_from_text", "hostile/test_names.py::test_names_of_remotes",
    ),
    "a git in the current folder": ("hostile/test_world.py::test_a_git_in_the_current_folder",),
    "a ref that names a file elsewhere": ("git/test_hostile.py::test_bad_refs_are_refused",),
    "submodules": ("git/test_hostile.py::test_submodules_are_left_alone",
                   "hostile/test_world.py::test_submodules_and_links_in_the_registry"),
    "links and case at checkout": ("hostile/test_world.py::test_links_in_the_way",
                                   "hostile/test_world.py::test_a_version_folder_that_git_made_a_link"),
    "a repository of another user": ("git/test_hostile.py::test_repository_of_another_user_is_refused",),
    "control characters in addresses": ("hostile/test_names.py::test_addresses_of_remotes",),
    "a bundle that the server names": ("git/test_hostile.py::test_the_server_names_no_bundle",),
    "objects of another user at clone": ("git/test_hostile.py::test_a_copy_shares_no_file_with_its_source",),
    "names that look like .git": ("hostile/test_world.py::test_names_of_files",
                                  "hostile/test_world.py::test_odd_names_in_git"),
    "programs of the repository": ("hostile/test_world.py::test_no_program_of_a_repository_runs",
                                   "git/test_hostile.py::test_no_program_of_the_repository_runs"),
    "variables that redirect git": ("hostile/test_world.py::test_hostile_variables",),
    "odd names in git's output": ("hostile/test_world.py::test_odd_names_in_git",),
    "broken objects on arrival": ("hostile/test_world.py::test_a_remote_with_broken_objects",
                                  "git/test_remotes.py::test_broken_objects_are_refused_on_fetch"),
    "bytes planted in a cache": (
        "store/test_cache.py::test_what_is_wrong_in_it_is_read_from_the_store",
        "store/test_cache.py::test_a_folder_that_others_may_write_to_is_refused",
        "store/test_cache.py::test_a_folder_of_another_user_is_refused",
        "store/test_cache.py::test_something_that_is_no_file_is_passed_over",
    ),
    "an edit of a placed file": ("hostile/test_shared.py::test_an_edit_of_placed_files_stays_there",
                                 "store/test_placing.py::test_an_edit_through_a_hard_link_is_noticed"),
    "an edit within a clock's tick": (
        "store/test_filecache.py::test_an_edit_within_the_same_tick_is_always_noticed",
        "store/test_filecache.py::test_an_edit_that_leaves_no_trace_in_the_stat_is_noticed_if_the_entry_is_racy",
    ),
    "a digest without the bytes": ("hostile/test_shared.py::test_a_digest_alone_gives_no_bytes",),
    "sizes of chunks that tell a file": ("hostile/test_shared.py::test_packs_mix_files",),
    "another algorithm of digests": ("model/test_digest.py::test_nothing_else_is_a_digest",),
    "locations that chain, cache, or read something else": (
        "model/test_store_url.py::test_everything_else_is_refused", "hostile/test_documents.py::test_configurations",
        "store/test_other_schemes.py::test_what_nobody_can_allow", "cli/test_store_check.py::test_what_is_no_place",
    ),
    "a pointer that leads to another host": (
        "registry/test_external.py::test_a_pointer_cannot_lead_elsewhere",
        "registry/test_external_remote.py::test_redirects_stay_on_the_server",
        "registry/test_external_remote.py::test_a_host_that_nobody_trusted_is_not_asked",
        "registry/test_remote_stores.py::test_a_repository_that_moves_its_server_is_asked_about",
    ),
    "options of a client in the repository": (
        "registry/test_remote_stores.py::test_a_repository_says_where_and_nothing_else",
        "registry/test_settings.py::test_a_repository_cannot_allow_a_scheme",
        "store/test_remote_settings.py::test_a_repository_names_a_server_but_no_secret",
    ),
    "references by templates": ("store/test_other_schemes.py::test_what_nobody_can_allow",
                                "hostile/test_external.py::test_hostile_rows"),
    "credentials in an address": (
        "model/test_redact.py::test_secrets_are_found_and_blacked_out",
        "model/test_store_url.py::test_the_message_has_no_credentials",
        "hostile/test_documents.py::test_credentials_do_not_reach_git",
    ),
    "secrets in messages, tracebacks and documents": (
        "faults/test_refused.py::test_what_a_server_refuses", "hostile/test_world.py::test_the_installed_program_leaks_nothing",
        "registry/test_several_stores.py::test_the_list_says_what_takes_what_and_what_is_wrong",
    ),
    "addresses that are signed for a while": (
        "model/test_redact.py::test_secrets_are_found_and_blacked_out",
        "hostile/test_external.py::test_locations_that_people_type",
    ),
    "a lost reply to a create-only write": (
        "store/test_remote_faults.py::test_a_lost_reply_tells_ones_own_object_from_anothers",
        "store/test_remote_faults.py::test_racing_registers_with_lost_replies",
        "faults/test_lost_replies.py::test_sampled_calls",
    ),
    "a listing that is late": ("faults/test_faultfs.py::test_sampled_points",
                               "store/test_gc.py::test_what_lives_again_is_not_deleted"),
    "bytes that are cut, wrong, or unpacked on the way": (
        "store/test_remote_faults.py::test_reads_are_made_again",
        "store/test_remote_faults.py::test_what_comes_packed_is_not_taken_for_what_is_in_it",
        "store/test_corruption.py::test_every_flipped_byte_and_every_length_is_noticed_or_harmless",
    ),
    "a chunk that unpacks to much more": ("store/test_wire.py::test_bombs_are_capped",
                                          "store/test_corruption.py::test_decompression_bombs_are_refused_with_little_memory"),
    "a server without TLS": (
        "store/test_remote_settings.py::test_refused_servers",
        "store/test_remote_settings.py::test_the_sdks_own_variable_needs_tls_too",
        "store/test_s3_quick.py::test_a_server_without_tls_is_refused_here_too",
    ),
    "a store's root that is swapped, or a link": (
        "store/test_folder.py::test_a_root_that_is_swapped_in_mid_call_is_still_the_same",
        "store/test_folder.py::test_links_are_refused", "hostile/test_world.py::test_links_inside_a_store",
        "registry/test_several_stores.py::test_a_share_that_is_not_mounted_is_not_written_to",
    ),
    "models whose loading runs code": (
        "registry/test_inspection.py::test_imports_by_opcode", "registry/test_inspection.py::test_torch_archives",
        "registry/test_inspection.py::test_keras_lambdas", "registry/test_inspection.py::test_arrays_of_objects",
        "registry/test_inspection.py::test_graphs_and_programs",
    ),
    "a format that its name hides": ("registry/test_inspection.py::test_the_name_hides_nothing",
                                     "registry/test_inspection.py::test_formats_by_first_bytes"),
    "archives that a scanner sees otherwise": (
        "registry/test_inspection.py::test_archives_that_two_readers_may_see_differently",
        "registry/test_inspection.py::test_a_bomb_is_not_read_whole",
    ),
    "signatures stripped, wrong, expired, revoked": (
        "promotion/test_signed.py::test_an_unsigned_head_is_refused_by_merge",
        "git/test_signatures.py::test_keys_that_do_not_count", "git/test_signatures.py::test_a_revoked_key",
        "git/test_signatures.py::test_signatures_that_do_not_fit",
    ),
    "old but valid data, replayed": (
        "promotion/test_hostile_requests.py::test_a_request_that_replays_an_old_tip",
        "promotion/test_hostile_requests.py::test_a_forced_push_and_an_old_tip",
    ),
    "a stage forced or replaced": (
        "promotion/test_hostile_requests.py::test_a_forced_push_and_an_old_tip",
        "promotion/test_hostile_requests.py::test_a_stage_that_was_deleted_and_born_again",
        "promotion/test_receive.py::test_what_goes_around_the_requests_is_refused",
    ),
    "a version registered again": ("faults/test_concurrency.py::test_one_version_many_writers",
                                   "faults/test_crowd.py::test_a_few_writers"),
    "a key that comes with the request": ("promotion/test_signed.py::test_a_signer_that_comes_with_the_request",
                                          "promotion/test_hostile_requests.py::test_a_head_made_by_hand"),
    "words that claim a review": ("promotion/test_hostile_requests.py::test_words_are_no_review",),
    "a branch that looks like a stage": (
        "promotion/test_hostile_requests.py::test_a_branch_that_looks_like_a_stage", "hostile/test_names.py::test_stages",
    ),
}  # fmt: skip


@pytest.mark.parametrize("attack", ROWS)
def test_each_attack_has_its_test(attack: str) -> None:
    for named in ROWS[attack]:
        path, _, function = named.partition("::")
        assert re.search(rf"^def {function}\(", (TESTS / path).read_text(), re.MULTILINE), named
