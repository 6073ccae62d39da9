/** Makes certificates for tests, so that no private key lies in the repository. Node can read X.509 but not write it; a
 *  certificate is a short nest of DER. */
import { generateKeyPairSync, sign } from 'node:crypto'

export interface TestCertificate {
  /** PEM. */
  key: string
  /** PEM. */
  certificate: string
}

/** A self-signed certificate for the host name `localhost`, and for 127.0.0.1 when `withAddress`. */
export function selfSigned({ notAfter = new Date('2099-01-01'), withAddress = false } = {}): TestCertificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const name = sequence(der(0x31, sequence(oid('550403'), der(0x0c, Buffer.from('localhost')))))
  const signed = sequence(
    der(0xa0, der(0x02, Buffer.of(2))),
    der(0x02, Buffer.of(1)),
    ecdsaWithSha256,
    name,
    sequence(time(new Date('2020-01-01')), time(notAfter)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(subjectAltName(withAddress), basicConstraints)),
  )
  const signature = der(0x03, Buffer.concat([Buffer.of(0), sign('sha256', signed, privateKey)]))
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    certificate: pem(sequence(signed, ecdsaWithSha256, signature)),
  }
}

function der(tag: number, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  const length = body.length < 0x80 ? [body.length] : [0x82, body.length >> 8, body.length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...length]), body])
}

function sequence(...parts: Buffer[]): Buffer {
  return der(0x30, ...parts)
}

function oid(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, 'hex'))
}

function time(date: Date): Buffer {
  return der(0x18, Buffer.from(date.toISOString().replace(/[-:T]|\.\d+/g, '')))
}

function subjectAltName(withAddress: boolean): Buffer {
  const names = [der(0x82, Buffer.from('localhost'))]
  if (withAddress) names.push(der(0x87, Buffer.of(127, 0, 0, 1)))
  return sequence(oid('551d11'), der(0x04, sequence(...names)))
}

function pem(certificate: Buffer): string {
  const lines = certificate.toString('base64').replace(/.{64}/g, '$&\n')
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`
}

const ecdsaWithSha256 = sequence(oid('2a8648ce3d040302'))
const basicConstraints = sequence(oid('551d13'), der(0x04, sequence(der(0x01, Buffer.of(0xff)))))
