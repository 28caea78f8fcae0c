-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
-- Who may call which routine: the service the public ones, the operator those and the
-- administration, the monitor what only reads. Helpers (_...) are granted to nobody but
-- their definer. Run after every install.sql: a routine that is replaced loses its grants.

-- The service.
GRANT EXECUTE ON PROCEDURE doushard.user_register          TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.user_login             TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.user_secret            TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.user_password          TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.user_rehash            TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.user_logout            TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.user_get               TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.user_profile           TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.session_open           TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.session_check          TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.session_touch          TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.publish_action         TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.publish_list           TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.publish_delete         TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.feed_list              TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.media_find             TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.video_get              TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.favorite_action        TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.favorite_deliver       TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.favorite_list          TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.relation_action        TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.relation_deliver       TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.relation_follow_list   TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.relation_follower_list TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.relation_friend_list   TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.viewer_flags           TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.comment_action         TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.comment_delete         TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.comment_deliver        TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.comment_list           TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.message_action         TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.message_deliver        TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.message_chat           TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.outbox_list            TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.outbox_done            TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.outbox_fail            TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.outbox_undo            TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.relay_lease_take       TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.idem_claim             TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.idem_purge             TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.job_claim              TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.job_finish             TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.conn_open              TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.conn_kill              TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.routine_list           TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.slot_map               TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.slot_learn             TO 'doushard_app'@'%';
GRANT EXECUTE ON PROCEDURE doushard.erase_step             TO 'doushard_app'@'%';

-- A definer needs it too.
GRANT EXECUTE ON PROCEDURE doushard.conn_kill TO 'doushard_killer'@'localhost';

-- The operator.
GRANT EXECUTE ON PROCEDURE doushard.user_register          TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.user_login             TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.user_secret            TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.user_password          TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.user_rehash            TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.user_logout            TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.user_get               TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.user_profile           TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.session_open           TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.session_check          TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.session_touch          TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.publish_action         TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.publish_list           TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.publish_delete         TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.feed_list              TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.media_find             TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.video_get              TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.favorite_action        TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.favorite_deliver       TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.favorite_list          TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.relation_action        TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.relation_deliver       TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.relation_follow_list   TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.relation_follower_list TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.relation_friend_list   TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.viewer_flags           TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.comment_action         TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.comment_delete         TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.comment_deliver        TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.comment_list           TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.message_action         TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.message_deliver        TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.message_chat           TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.outbox_list            TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.outbox_done            TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.outbox_fail            TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.outbox_undo            TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.relay_lease_take       TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.idem_claim             TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.idem_purge             TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.job_claim              TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.job_finish             TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.conn_open              TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.conn_kill              TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.routine_list           TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.slot_map               TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.slot_learn             TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.erase_step             TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.shard_init             TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.slot_assign            TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.slot_status            TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.slot_stats             TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.slot_where             TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.user_tables            TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.user_audit             TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.user_repair            TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.user_export            TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.user_erase             TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.video_remove           TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.outbox_status          TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.audit_owners           TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.audit_rows             TO 'doushard_admin'@'%';
GRANT EXECUTE ON PROCEDURE doushard.audit_find             TO 'doushard_admin'@'%';

-- The monitor.
GRANT EXECUTE ON PROCEDURE doushard.conn_open              TO 'doushard_monitor'@'%';
GRANT EXECUTE ON PROCEDURE doushard.routine_list           TO 'doushard_monitor'@'%';
GRANT EXECUTE ON PROCEDURE doushard.slot_map               TO 'doushard_monitor'@'%';
GRANT EXECUTE ON PROCEDURE doushard.slot_status            TO 'doushard_monitor'@'%';
GRANT EXECUTE ON PROCEDURE doushard.slot_stats             TO 'doushard_monitor'@'%';
GRANT EXECUTE ON PROCEDURE doushard.slot_where             TO 'doushard_monitor'@'%';
GRANT EXECUTE ON PROCEDURE doushard.outbox_status          TO 'doushard_monitor'@'%';
GRANT EXECUTE ON PROCEDURE doushard.user_tables            TO 'doushard_monitor'@'%';
GRANT EXECUTE ON PROCEDURE doushard.user_audit             TO 'doushard_monitor'@'%';
GRANT EXECUTE ON PROCEDURE doushard.audit_owners           TO 'doushard_monitor'@'%';
GRANT EXECUTE ON PROCEDURE doushard.audit_rows             TO 'doushard_monitor'@'%';
GRANT EXECUTE ON PROCEDURE doushard.audit_find             TO 'doushard_monitor'@'%';
