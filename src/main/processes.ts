/** The processes of an installation and what they and their parent say to each other over IPC. */
export const roles = ['control', 'gateway', 'pipeline', 'delivery', 'loader'] as const
export type Role = (typeof roles)[number]

/** What a child tells its parent. */
export type ChildMessage =
  { type: 'ready'; lines?: string[]; address?: string } | { type: 'refused'; exitCode: number; message: string }

/** What the parent tells a child. */
export type ParentMessage = { type: 'stop' }
