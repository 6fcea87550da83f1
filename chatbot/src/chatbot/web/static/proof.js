// Solves the server's proof-of-work challenges (altcha, PBKDF2): what a script that guesses passwords has to pay each time.

// The payload to send as `proof`. `challenge` is {parameters, signature} as the refusal's document holds it.
export async function solve(challenge) {
  const { cost, keyLength, keyPrefix, nonce, salt } = challenge.parameters;
  const saltBytes = bytes(salt);
  const password = new Uint8Array([...bytes(nonce), 0, 0, 0, 0]);
  const counterAt = new DataView(password.buffer, password.length - 4);
  for (let counter = 0; ; counter++) {
    counterAt.setUint32(0, counter);
    const key = await crypto.subtle.importKey("raw", password, "PBKDF2", false, ["deriveBits"]);
    const derived = hex(
      await crypto.subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt: saltBytes, iterations: cost }, key, keyLength * 8),
    );
    if (derived.startsWith(keyPrefix)) return btoa(JSON.stringify({ challenge, solution: { counter, derivedKey: derived } }));
  }
}

function bytes(text) {
  return Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));
}

function hex(buffer) {
  return Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
