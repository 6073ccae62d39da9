/** Every reason code that accounting, trace and the console use, in the stage where it is decided
 *  (contract: destinations.md §11.2). Segment's codes keep their spelling. */

export const rejectedCodes = {
  bad_request: 'The type is missing or is not one of the six calls, or the item of the batch is not an object.',
  no_user_anon_id: 'The message has neither a userId nor an anonymousId.',
  id_required: 'A group call has no groupId, or an alias call lacks previousId or userId.',
  id_not_string: 'An id is a boolean, an object or an array.',
  event_not_defined: 'The track call has no event name.',
  event_not_string: 'The event name of the track call is not a string.',
  properties_not_object: 'properties is not an object.',
  traits_not_object: 'traits is not an object.',
  name_not_string: 'The name of the page or screen call is not a string.',
  category_not_string: 'The category of the page or screen call is not a string.',
  message_too_large: 'The message is larger than the limit for one message.',
  too_deep: 'The message is nested deeper than 100 levels.',
  message_id_too_long: 'The messageId is longer than 100 characters.',
  empty_batch: 'The batch holds no messages.',
  batch_too_long: 'The batch holds more messages than limits.batchMessagesMax.',
  source_disabled: 'The source is disabled.',
  locked_workspace: 'The workspace is locked.',
  consent_categorypreferences_should_exist: 'The consent event has no context.consent.categoryPreferences.',
  consent_categorypreferences_fields_should_be_object: 'context.consent.categoryPreferences is not an object.',
  consent_categorypreferences_fields_should_be_bool: 'A value of context.consent.categoryPreferences is not a boolean.',
  consent_version_should_be_number: 'context.consent.version of the consent event is not a number.',
  device_advertisingid_should_be_string: 'context.device.advertisingId of the consent event is not a string.',
} as const
export type RejectedCode = keyof typeof rejectedCodes

export const droppedCodes = {
  event_setting: 'The schema of the source blocks this event.',
  JOURNAL_CORRUPT: 'The stored message could not be read back (damage on the disk).',
  DESTINATION_DISABLED: 'The destination was disabled when the message came.',
  UNSUPPORTED_EVENT_TYPE: 'The destination does not take this kind of call.',
  MESSAGE_SENT_CLIENT_SIDE: 'The page or app has sent the message to this destination itself.',
  FILTERED_BY_END_USER_CONSENT: 'The user has not consented to the categories of this destination.',
  FILTERED_BY_INTEGRATIONS_OBJECT: 'The integrations object of the message excludes this destination.',
  FILTERED_BY_RULES: 'A destination filter dropped the message.',
  NO_MATCHING_MAPPING: 'No enabled mapping of the destination has a trigger that matches.',
} as const
export type DroppedCode = keyof typeof droppedCodes

/** Codes of `discarded` beside HTTP statuses and socket codes (`400`, `ECONNREFUSED`, `ETIMEDOUT`). */
export const discardedCodes = {
  CONNECTION_DELETED: 'The connection was deleted while the message was waiting.',
  WINDOW_EXHAUSTED: 'The message has left the journal and the archive before it could be sent.',
  MESSAGE_REJECTED: 'The mapped payload does not fit the fields of the action.',
  INVALID_SETTINGS: 'The settings of the destination are not complete or not valid.',
  EGRESS_DENIED: 'The address of the destination is private or otherwise not allowed (egress.allow).',
  INTERNAL: 'The connector failed in a way that it did not explain.',
} as const
