/** Sources, their write keys and their schema controls, in the HTTP API. A change is published when it is answered. */
import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { z } from 'zod'
import { AppError } from '../base/errors.ts'
import { findSourceKind, readInput, sourceKinds, type SourceKind, type SourceView, type Store } from '../store/index.ts'
import { adminRoles, answerJson, ownPrefix, readJson, type Caller, type Route } from './route.ts'

export interface SourcesParts {
  store: Store
  /** Publishes the snapshot; the data plane works with it within a second. */
  publish(): Promise<void>
}

/** Roles that change sources and see write keys (contract: workspace.md §3). */

const revocation = z.strictObject({
  token: z.string().min(1, 'must not be empty').max(8192, 'has at most 8,192 characters'),
})

interface Call {
  /** What the groups of the path matched, decoded. */
  names: string[]
  caller: Caller
  /** The body as JSON; an empty one is `{}`. */
  body: () => Promise<unknown>
}

export function createSourceRoutes({ store, publish }: SourcesParts): Route[] {
  const route = (
    method: Route['method'],
    path: string,
    run: (call: Call) => Promise<{ status?: number; answer: unknown }>,
  ): Route => ({
    method,
    path: new RegExp(`^${ownPrefix}/${path}$`),
    access: method === 'GET' ? 'member' : 'admin',
    async run(request, response, match, caller) {
      const { status = 200, answer } = await run({
        names: match.slice(1).map(decode),
        caller,
        body: async () => (hasBody(request.headers) ? readJson(request) : {}),
      })
      if (method !== 'GET') await publish()
      answerJson(response, status, answer)
    },
  })
  return [
    route('GET', 'source-kinds', async () => ({ answer: { kinds: sourceKinds.map(describeKind) } })),
    route('GET', 'sources', async ({ caller }) => ({
      answer: { sources: (await store.listSources()).map((source) => describeSource(source, caller)) },
    })),
    route('POST', 'sources', async ({ body, caller }) => ({
      status: 201,
      answer: describeSource(await store.createSource(await body()), caller),
    })),
    route('GET', 'sources/([^/]+)', async ({ names: [source = ''], caller }) => ({
      answer: describeSource(await store.readSource(source), caller),
    })),
    route('PATCH', 'sources/([^/]+)', async ({ names: [source = ''], body, caller }) => ({
      answer: describeSource(await store.changeSource(source, await body()), caller),
    })),
    route('DELETE', 'sources/([^/]+)', async ({ names: [source = ''] }) => {
      await store.deleteSource(source)
      return { answer: { success: true } }
    }),
    route('POST', 'sources/([^/]+)/write-keys', async ({ names: [source = ''], body }) => ({
      status: 201,
      answer: { writeKey: await store.addWriteKey(source, await body()) },
    })),
    route('DELETE', 'sources/([^/]+)/write-keys/([^/]+)', async ({ names: [source = '', writeKey = ''] }) => {
      await store.removeWriteKey(source, writeKey)
      return { answer: { success: true } }
    }),
    route('GET', 'sources/([^/]+)/schema-controls', async ({ names: [source = ''] }) => ({
      answer: (await store.readSource(source)).schema,
    })),
    route('PATCH', 'sources/([^/]+)/schema-controls', async ({ names: [source = ''], body }) => ({
      answer: await store.changeSchema(source, await body()),
    })),
    route('GET', 'oauth-apps', async () => {
      const { oauthApps = [] } = await store.snapshot()
      return {
        answer: {
          apps: oauthApps.map(({ id, name, publicKeys, tokenLifetimeSeconds, scopes }) => ({
            id,
            name,
            keyIds: Object.keys(publicKeys),
            tokenLifetimeSeconds,
            scopes,
          })),
        },
      }
    }),
    route('POST', 'oauth-apps/([^/]+)/revoke-token', async ({ names: [app = ''], body }) => {
      const { token } = readInput(revocation, await body())
      await store.revokeToken(app, createHash('sha256').update(token).digest('hex'))
      return { answer: { success: true } }
    }),
  ]
}

function hasBody(headers: IncomingHttpHeaders): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new AppError('bad_request', 400, `"${part}" is not percent-encoded as it should be.`)
  }
}

/** In the shape of contract/sources.md, "Source object", with what is ours beside it. */
export function describeSource(source: SourceView, caller: Caller): Record<string, unknown> {
  const { workspace, type, labels, isEnabled, isStrict, eventsPerSecond, oauth, createdAtMs, ...rest } = source
  const { managedBy, schemaManagedBy, ...same } = rest
  return {
    ...same,
    workspaceId: workspace,
    enabled: isEnabled,
    strict: isStrict,
    metadata: metadataOf(type),
    writeKeys: adminRoles.has(caller.role) ? source.writeKeys : [],
    labels: Object.entries(labels).map(([key, value]) => ({ key, value })),
    limits: eventsPerSecond === undefined ? {} : { eventsPerSecond },
    oauth: oauth === undefined ? null : { app: oauth.app, required: oauth.isRequired },
    createdAt: new Date(createdAtMs).toISOString(),
    managedBy: managedBy ?? null,
    schemaManagedBy: schemaManagedBy ?? null,
  }
}

/** Of a type that a version before this one let pass, only what it says itself. */
function metadataOf(type: string): Record<string, unknown> {
  const kind = findSourceKind(type)
  if (kind === undefined)
    return { id: type, slug: type, name: type, categories: [], isCloudEventSource: false, status: 'UNAVAILABLE' }
  const { id, slug, name, categories, isCloudEventSource, status } = kind
  return { id, slug, name, categories, isCloudEventSource, status }
}

function describeKind(kind: SourceKind): Record<string, unknown> {
  const { id, slug, aliases, name, description, categories, options, isCloudEventSource, status } = kind
  const { isClientSide, mayUseOAuth } = kind
  const ours = { aliases, isClientSide, mayUseOAuth, partnerOwned: false }
  return { id, slug, name, description, categories, options, isCloudEventSource, status, ...ours }
}
