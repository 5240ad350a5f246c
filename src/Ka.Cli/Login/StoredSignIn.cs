using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Ka.Core.Faults;

namespace Ka.Cli.Login;

/// <summary>What <c>ka login</c> got for one server. Holds secrets, so it is never printed.</summary>
/// <param name="Authority">PEM of the only authorities that the issuer's certificate may be of; null for those of the system.</param>
/// <param name="ExpiresAt">Of the access token, by the clock of this machine; null when the issuer did not say.</param>
public sealed record StoredSignIn(
    string Server, string Issuer, string ClientId, string? Authority, string TokenEndpoint, string? RevocationEndpoint, string AccessToken, string? RefreshToken, DateTimeOffset? ExpiresAt)
{
    public override string ToString() => $"sign-in to {Server}";
}

/// <summary>The sign-ins of a person, a file for each server that only its owner may read.</summary>
/// <param name="directory">Made when something is written.</param>
public sealed class SignInFiles(string directory)
{
    const UnixFileMode Own = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <summary>Most bytes of one.</summary>
    const int Limit = 256 * 1024;

    static readonly TimeSpan LockPatience = TimeSpan.FromSeconds(30), LockAgain = TimeSpan.FromMilliseconds(50);

    /// <summary>An option, KA_SIGN_INS, or <c>ka/sign-ins</c> in the directory of the XDG state.</summary>
    public static SignInFiles At(string? option, Func<string, string?> variable) =>
        new(option ?? variable("KA_SIGN_INS") ?? Path.Combine(variable("XDG_STATE_HOME") ?? Path.Combine(variable("HOME") ?? "/", ".local", "state"), "ka", "sign-ins"));

    /// <summary>The file for a server, however its address is written.</summary>
    public string PathOf(string server) => Path.Combine(directory, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(Address(server))).AsSpan(0, 16)) + ".json");

    static string Address(string server) => Uri.TryCreate(server, UriKind.Absolute, out var uri) && uri.Scheme is "https" or "http" ? uri.GetLeftPart(UriPartial.Authority) : server;

    public bool Has(string server) => File.Exists(PathOf(server));

    /// <summary>Null, without a fault, when there is none.</summary>
    public (StoredSignIn? Stored, Fault? Fault) Read(string server)
    {
        var path = PathOf(server);
        try
        {
            if (!File.Exists(path))
                return (null, null);
            if ((File.GetUnixFileMode(path) & ~Own) != 0)
                return (null, Bad(path, "others may read it"));
            if (new FileInfo(path).Length > Limit || JsonSerializer.Deserialize(File.ReadAllText(path), SignInJson.Default.StoredSignIn) is not { AccessToken: not null, TokenEndpoint: not null } stored)
                return (null, Bad(path, "it holds no sign-in"));
            return stored.Server == Address(server) ? (stored, null) : (null, Bad(path, "it is of another server"));
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            return (null, Bad(path, e is JsonException ? "it holds no sign-in" : e.Message));
        }
    }

    static Fault Bad(string path, string why) => Fault.Of(FaultCodes.AuthSignInRefused, $"the sign-in in {path} is not used: {why}");

    /// <summary>Whole or not at all.</summary>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Write(StoredSignIn signIn)
    {
        var stored = signIn with { Server = Address(signIn.Server) };
        Directory.CreateDirectory(directory, Own | UnixFileMode.UserExecute);
        var path = PathOf(stored.Server);
        var part = $"{path}.{Guid.NewGuid():N}";
        using (var file = new FileStream(part, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = Own }))
            JsonSerializer.Serialize(file, stored, SignInJson.Default.StoredSignIn);
        File.Move(part, path, overwrite: true);
    }

    /// <summary>False when there was none.</summary>
    public bool Delete(string server)
    {
        if (!Has(server))
            return false;
        File.Delete(PathOf(server));
        return true;
    }

    /// <summary>Held by one process at a time; null when another did not let go of it.</summary>
    public async Task<IDisposable?> LockAsync(string server, CancellationToken cancel)
    {
        var path = PathOf(server) + ".lock";
        for (var waited = TimeSpan.Zero; ; waited += LockAgain)
        {
            try
            {
                return new FileStream(path, new FileStreamOptions { Mode = FileMode.OpenOrCreate, Access = FileAccess.Write, Share = FileShare.None, UnixCreateMode = Own });
            }
            catch (IOException) when (waited < LockPatience)
            {
                await Task.Delay(LockAgain, cancel);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return null;
            }
        }
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, AllowDuplicateProperties = false, MaxDepth = 8)]
[JsonSerializable(typeof(StoredSignIn))]
sealed partial class SignInJson : JsonSerializerContext;
