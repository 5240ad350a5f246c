using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Ka.Server.Environments;

namespace Ka.Server.Hosting;

/// <summary>
/// What only this server knows, made at its first start in files that only its user may read: the secret from which credentials
/// and broadcast keys are derived, the certificate that agents pin, and the first token for people.
/// </summary>
public sealed class ServerSecrets
{
    readonly byte[] _secret;

    ServerSecrets(byte[] secret, X509Certificate2 certificate, string tokenHash, string tokenFile, DiskKeys diskKeys)
    {
        DiskKeys = diskKeys;
        _secret = secret;
        Certificate = certificate;
        TokenHash = tokenHash;
        TokenFile = tokenFile;
    }

    public X509Certificate2 Certificate { get; }

    /// <summary>SHA-256 of the certificate (DER), lower-case hex: what agents pin.</summary>
    public string Fingerprint => Convert.ToHexStringLower(Certificate.GetCertHash(HashAlgorithmName.SHA256));

    public string TokenFile { get; }

    /// <summary>The keys of encrypted disks.</summary>
    public DiskKeys DiskKeys { get; }

    string TokenHash { get; }

    /// <summary>Reads them, or makes them when the directory is new.</summary>
    public static ServerSecrets Open(string stateDirectory)
    {
        Directory.CreateDirectory(stateDirectory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var secret = ReadOrMake(Path.Combine(stateDirectory, "secret"), () => RandomNumberGenerator.GetBytes(32));
        var pfx = ReadOrMake(Path.Combine(stateDirectory, "agent.pfx"), MakeCertificate);
        var tokenFile = Path.Combine(stateDirectory, "token");
        var token = Encoding.ASCII.GetString(ReadOrMake(tokenFile, () => Encoding.ASCII.GetBytes(Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(24)) + "\n"))).Trim();
        return new ServerSecrets(secret, X509CertificateLoader.LoadPkcs12(pfx, null), Hash(token), tokenFile, new DiskKeys(Path.Combine(stateDirectory, "disk-keys")));
    }

    /// <summary>Whether a bearer token is the right one, in constant time.</summary>
    public bool Accepts(string token) =>
        CryptographicOperations.FixedTimeEquals(Encoding.ASCII.GetBytes(Hash(token)), Encoding.ASCII.GetBytes(TokenHash));

    /// <summary>A secret for one purpose, 64 hex characters; the same again after a restart.</summary>
    public string Derive(string purpose, params string[] of) =>
        Convert.ToHexStringLower(HMACSHA256.HashData(_secret, Encoding.UTF8.GetBytes(purpose + "\0" + string.Join('\0', of))));

    public static string Hash(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));

    internal static byte[] ReadOrMake(string path, Func<byte[]> make)
    {
        if (File.Exists(path))
            return File.ReadAllBytes(path);
        var bytes = make();
        var temporary = path + ".new";
        File.Delete(temporary);
        using (var file = new FileStream(temporary, new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        }))
        {
            file.Write(bytes);
            if (DurableFile.Sync(file) is { } lost)
                throw new IOException($"{path}: {lost.Message}: {lost.Evidence}");
        }
        File.Move(temporary, path);
        return bytes;
    }

    static byte[] MakeCertificate()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=ka", key, HashAlgorithmName.SHA256);
        // Agents pin the certificate itself; its dates mean nothing to machines whose clocks may be wrong.
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UnixEpoch.AddYears(30), DateTimeOffset.UnixEpoch.AddYears(130));
        return certificate.Export(X509ContentType.Pkcs12);
    }
}
