-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
-- All routines, in the order in which they call each other. Run it from this directory,
-- after accounts.sql and schema/*.sql and before grants.sql, any number of times:
--     mariadb --comments < install.sql
-- (without --comments the client removes the comments from the bodies). A routine loses its grants
-- when it is replaced; grants.sql restores them. scripts/migrate, which does all this, takes the
-- order from here, loads only what has changed, and leaves a mark when everything is loaded,
-- without which no server takes the shard into service.

USE doushard;

-- Stored with every routine.
SET NAMES utf8mb4 COLLATE utf8mb4_bin;
SET SESSION sql_mode = 'STRICT_TRANS_TABLES,ONLY_FULL_GROUP_BY,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION';

-- Helpers: the batch, the fence, the mint, the journal.
SOURCE op/_now_ms.sql
SOURCE op/_op_refuse.sql
SOURCE op/_op_size.sql
SOURCE op/_op_check.sql
SOURCE op/_op_tables.sql
SOURCE op/_op_begin.sql
SOURCE op/_op_place.sql
SOURCE op/_op_opened.sql
SOURCE op/_op_open.sql
SOURCE op/_op_clear.sql
SOURCE op/_op_known.sql
SOURCE op/_op_exact.sql
SOURCE op/_op_texts.sql
SOURCE shard/_shard_open.sql
SOURCE op/_op_judge.sql
SOURCE slot/_slot_log_bound.sql
SOURCE op/_op_fence.sql
SOURCE op/_op_there_table.sql
SOURCE op/_op_fences.sql
SOURCE op/_op_refusals.sql
SOURCE op/_op_user_lock.sql
SOURCE op/_op_user_need.sql
SOURCE op/_op_user_change.sql
SOURCE op/_op_user_answer.sql
SOURCE op/_op_video_lock.sql
SOURCE op/_op_video_change.sql
SOURCE op/_op_video_answer.sql
SOURCE op/_op_inbound_lock.sql
SOURCE op/_op_author_lock.sql
SOURCE op/_op_inbound_change.sql
SOURCE op/_op_inbound_answer.sql
SOURCE op/_op_mint.sql
SOURCE op/_op_author.sql
SOURCE op/_op_distinct.sql
SOURCE op/_op_outbox.sql
SOURCE op/_op_outbox_lock.sql
SOURCE op/_op_outbox_owner.sql
SOURCE op/_op_home_slot.sql
SOURCE op/_op_home.sql
SOURCE op/_op_chat_last.sql
SOURCE video/_video_delete.sql
SOURCE slot/_slot_seq_lock.sql
SOURCE slot/_slot_changed.sql
SOURCE slot/_slot_epoch_next.sql
SOURCE slot/_slot_log_add.sql
SOURCE slot/_slot_log_add_ops.sql
SOURCE op/_op_outbox_remove.sql
SOURCE slot/_slot_log_add_undo.sql
SOURCE session/_session_put.sql
SOURCE user/_user_state.sql

-- Users and their sessions.
SOURCE user/user_register.sql
SOURCE user/user_login.sql
SOURCE user/user_secret.sql
SOURCE user/user_password.sql
SOURCE user/user_rehash.sql
SOURCE user/user_logout.sql
SOURCE user/user_get.sql
SOURCE owner/owner_versions.sql
SOURCE user/user_profile.sql
SOURCE session/session_open.sql
SOURCE session/session_get.sql
SOURCE session/session_check.sql
SOURCE session/session_touch.sql

-- Videos.
SOURCE publish/publish_action.sql
SOURCE publish/publish_list.sql
SOURCE publish/publish_number.sql
SOURCE publish/publish_delete.sql
SOURCE feed/feed_list.sql
SOURCE feed/feed_ids.sql
SOURCE media/media_find.sql
SOURCE media/media_lease_take.sql
SOURCE video/video_get.sql

-- Relations between two owners: first halves, second halves, lists.
SOURCE favorite/_favorite_action_one.sql
SOURCE favorite/_favorite_action_hot.sql
SOURCE favorite/_favorite_there_lock.sql
SOURCE favorite/_favorite_there.sql
SOURCE favorite/_favorite_action_batch.sql
SOURCE favorite/favorite_action.sql
SOURCE favorite/_favorite_deliver_one.sql
SOURCE favorite/_favorite_deliver_hot.sql
SOURCE favorite/_favorite_deliver_batch.sql
SOURCE favorite/favorite_deliver.sql
SOURCE favorite/favorite_list.sql
SOURCE relation/_relation_action_one.sql
SOURCE relation/_relation_there_lock.sql
SOURCE relation/_relation_there.sql
SOURCE relation/_relation_action_batch.sql
SOURCE relation/relation_action.sql
SOURCE relation/relation_deliver.sql
SOURCE relation/relation_follow_list.sql
SOURCE relation/relation_follower_list.sql
SOURCE relation/relation_friend_list.sql
SOURCE relation/relation_get.sql
SOURCE viewer/viewer_flags.sql
SOURCE viewer/viewer_sets.sql
SOURCE comment/comment_action.sql
SOURCE comment/comment_delete.sql
SOURCE comment/comment_erase.sql
SOURCE comment/comment_deliver.sql
SOURCE comment/comment_list.sql
SOURCE message/message_action.sql
SOURCE message/message_deliver.sql
SOURCE message/message_chat.sql
SOURCE chat/chat_repair.sql
SOURCE chat/chat_tail.sql
SOURCE chat/chat_align.sql
SOURCE outbox/outbox_list.sql
SOURCE outbox/outbox_done.sql
SOURCE outbox/outbox_fail.sql
SOURCE outbox/_outbox_undo.sql
SOURCE outbox/outbox_undo.sql
SOURCE relay/relay_lease_take.sql

-- Background work, repeated requests.
SOURCE idem/idem_claim.sql
SOURCE purge/_purge_find.sql
SOURCE purge/_purge_log.sql
SOURCE purge/_purge_remove.sql
SOURCE purge/purge_step.sql
SOURCE purge/purge_status.sql
SOURCE job/job_claim.sql
SOURCE job/job_finish.sql

-- Connections, versions, placement.
SOURCE conn/conn_open.sql
SOURCE conn/conn_kill.sql
SOURCE routine/routine_list.sql
SOURCE slot/slot_map.sql
SOURCE slot/slot_learn.sql
SOURCE slot/slot_takeover.sql
SOURCE shard/shard_status.sql
SOURCE shard/_shard_refuse.sql
SOURCE shard/shard_tick.sql
SOURCE shard/shard_heard.sql
SOURCE shard/shard_learn.sql

-- Administration.
SOURCE shard/shard_init.sql
SOURCE shard/shard_pause.sql
SOURCE shard/shard_resume.sql
SOURCE shard/shard_drain.sql
SOURCE shard/shard_refuse.sql
SOURCE shard/shard_restored.sql
SOURCE shard/shard_admit.sql
SOURCE shard/shard_free.sql
SOURCE shard/shard_probe.sql
SOURCE shard/shard_report.sql
SOURCE slot/slot_assign.sql
SOURCE slot/slot_settle.sql
SOURCE slot/slot_adopt.sql
SOURCE slot/slot_epochs.sql
SOURCE slot/slot_status.sql
SOURCE slot/slot_stats.sql
SOURCE slot/slot_where.sql
SOURCE load/_load_decay.sql
SOURCE load/_load_per_min.sql
SOURCE load/load_add.sql
SOURCE load/load_measure.sql
SOURCE load/load_owners.sql
SOURCE load/load_status.sql
SOURCE user/user_find.sql
SOURCE user/user_tables.sql
SOURCE user/user_audit.sql
SOURCE user/user_repair.sql
SOURCE user/user_export.sql
SOURCE user/user_export_page.sql
SOURCE comment/comment_export.sql
SOURCE user/user_ban.sql
SOURCE user/user_unban.sql
SOURCE user/user_erase.sql
SOURCE erase/_erase_videos.sql
SOURCE erase/_erase_edges.sql
SOURCE erase/_erase_mail.sql
SOURCE erase/erase_step.sql
SOURCE session/session_end_all.sql
SOURCE video/video_remove.sql
SOURCE job/job_status.sql
SOURCE job/job_parked.sql
SOURCE job/job_retry.sql
SOURCE relay/relay_status.sql
SOURCE outbox/outbox_status.sql
SOURCE outbox/outbox_parked.sql
SOURCE outbox/outbox_retry.sql
SOURCE outbox/outbox_retry_all.sql
SOURCE outbox/outbox_drop.sql
SOURCE outbox/outbox_again.sql
SOURCE edge/edge_recover.sql
SOURCE user/user_lost.sql
SOURCE audit/audit_owners.sql
SOURCE audit/audit_rows.sql
SOURCE audit/audit_find.sql

-- Moves of slots.
SOURCE move/_move_tables.sql
SOURCE move/_move_check.sql
SOURCE move/_move_busy.sql
SOURCE move/_move_other_side.sql
SOURCE move/_move_keys.sql
SOURCE move/_move_find.sql
SOURCE move/_move_pick.sql
SOURCE move/_move_changed.sql
SOURCE move/_move_put.sql
SOURCE move/_move_same.sql
SOURCE move/_move_count.sql
SOURCE move/_move_owned.sql
SOURCE move/_move_drop.sql
SOURCE move/_move_expand.sql
SOURCE move/_move_changes.sql
SOURCE move/_move_changes_of.sql
SOURCE move/_move_answer.sql
SOURCE move/_move_apply.sql
SOURCE move/move_adopt.sql
SOURCE move/move_beat.sql
SOURCE move/move_cancel.sql
SOURCE move/move_claim.sql
SOURCE move/move_clean.sql
SOURCE move/move_close.sql
SOURCE move/move_count.sql
SOURCE move/move_drain.sql
SOURCE move/move_drained.sql
SOURCE move/move_forget.sql
SOURCE move/move_give.sql
SOURCE move/move_import.sql
SOURCE move/move_load.sql
SOURCE move/move_lock.sql
SOURCE move/move_look.sql
SOURCE move/move_open.sql
SOURCE move/move_pick.sql
SOURCE move/move_purge.sql
SOURCE move/move_read.sql
SOURCE move/move_ready.sql
SOURCE move/move_request.sql
SOURCE move/move_rest.sql
SOURCE move/move_status.sql
SOURCE move/move_stuck.sql
SOURCE move/move_stay.sql
SOURCE move/move_sweep.sql
SOURCE move/move_throttle.sql
SOURCE move/move_unlock.sql
SOURCE move/move_wish.sql
SOURCE move/move_write.sql
SOURCE promote/_promote_check.sql
SOURCE promote/_promote_held.sql
SOURCE promote/_promote_same.sql
SOURCE promote/_promote_carry.sql
SOURCE promote/promote_auto.sql
SOURCE promote/promote_begin.sql
SOURCE promote/promote_count.sql
SOURCE promote/promote_flip.sql
SOURCE promote/promote_hold.sql
SOURCE promote/promote_number.sql
SOURCE promote/promote_parts.sql
SOURCE promote/promote_purge.sql
SOURCE promote/promote_request.sql
SOURCE promote/promote_write.sql
SOURCE demote/demote_request.sql

-- Promotions that a restored shard has lost.
SOURCE home/home_list.sql
SOURCE home/home_recover.sql
SOURCE home/home_clean.sql
