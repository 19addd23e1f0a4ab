// Opens an export of Pli with OpenPGP.js, as its holder would elsewhere:
//
//   node open.mjs KEYFILE EXPORT OUT < passphrase
//
// Each .pgp file of the folder EXPORT is written, opened, to the same place
// below OUT. On standard output: the fingerprints of the keys in KEYFILE, and
// for each file which of them it is sealed to, as JSON. A file that does not
// open ends it with an error.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { decrypt, decryptKey, readMessage, readPrivateKeys } from 'openpgp';

const [keyFile, from, to] = process.argv.slice(2);
const passphrase = readFileSync(0, 'utf8');

const locked = await readPrivateKeys({ armoredKeys: readFileSync(keyFile, 'utf8') });
const decryptionKeys = [];
for (const privateKey of locked) {
  if (privateKey.isDecrypted()) throw new Error('a key of the file is not locked');
  decryptionKeys.push(await decryptKey({ privateKey, passphrase }));
}
const files = {};
for (const file of readdirSync(from, { recursive: true }).filter((name) => name.endsWith('.pgp'))) {
  const message = await readMessage({ binaryMessage: readFileSync(join(from, file)) });
  files[file] = message.getEncryptionKeyIDs().map((id) => id.toHex());
  const { data } = await decrypt({ message, decryptionKeys, format: 'binary' }).catch((cause) => {
    const have = decryptionKeys.map((key) => key.getSubkeys()[0].getKeyID().toHex());
    throw new Error(`${file}, sealed to ${files[file]}, does not open with ${have}`, { cause });
  });
  mkdirSync(dirname(join(to, file)), { recursive: true });
  writeFileSync(join(to, file), data);
}
console.log(JSON.stringify({
  keys: decryptionKeys.map((key) => key.getSubkeys()[0].getKeyID().toHex()),
  version: decryptionKeys.map((key) => key.keyPacket.version),
  files,
}));
