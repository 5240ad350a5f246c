using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Ka.Core.Certificates;
using Ka.Core.Documents;
using Ka.Core.Rights;
using Ka.Yaml;

namespace Ka.Server.Configuration;

/// <summary>Who people are to this server, and how they prove it. A role goes to a user or to an <c>@group</c>; the highest one counts.</summary>
/// <param name="Viewers">Who is here and in no other list may only look; everybody else is a user, and needs a rule for every node.</param>
/// <param name="Htpasswd">File of names and bcrypt hashes; null for no passwords.</param>
/// <param name="Certificate">PEM file of the TLS listeners; null for one that the server makes.</param>
public sealed record AuthSettings(
    ImmutableArray<string> Admins, ImmutableArray<string> Operators, ImmutableArray<string> Viewers, string? Htpasswd, string? Certificate, string? Key)
{
    /// <summary>PEM file of the authorities that sign people's certificates; null when nobody is known by one.</summary>
    public string? Authority { get; init; }

    /// <summary>The issuer of single sign-on; null when tokens of none are taken.</summary>
    public OidcSettings? Oidc { get; init; }

    public static readonly AuthSettings Default = new(["root"], [], [], null, null, null);

    public Role RoleOf(string name, ImmutableArray<string> groups) =>
        Names(Admins, name, groups) ? Role.Admin : Names(Operators, name, groups) ? Role.Operator : Names(Viewers, name, groups) ? Role.Viewer : Role.User;

    static bool Names(ImmutableArray<string> list, string name, ImmutableArray<string> groups) =>
        list.Any(word => word.StartsWith('@') ? groups.Contains(word[1..], StringComparer.Ordinal) : word == name);
}

/// <summary>Reads <c>auth</c> of the server's configuration, and looks at the files that it names.</summary>
static class AuthReader
{
    const UnixFileMode OthersRead = UnixFileMode.OtherRead;

    public const UnixFileMode OthersWrite = UnixFileMode.OtherWrite | UnixFileMode.GroupWrite;

    public static AuthSettings Read(YamlSection auth, string folder)
    {
        var settings = new AuthSettings(
            auth.Has("admins") ? Names(auth, "admins") : AuthSettings.Default.Admins, Names(auth, "operators"), Names(auth, "viewers"),
            Path(auth, "htpasswd", folder), Path(auth, "certificate", folder), Path(auth, "key", folder)) { Authority = Authority(auth, folder), Oidc = OidcReader.Read(auth, folder) };
        CheckFile(auth, "htpasswd", settings.Htpasswd, OthersWrite | OthersRead);
        CheckFile(auth, "key", settings.Key, OthersWrite | OthersRead);
        if (settings.Certificate is null != settings.Key is null)
            auth.Refuse(settings.Certificate is null ? "key" : "certificate", SiteReader.Code, "'certificate' and 'key' go together");
        else if (settings.Certificate is not null)
            CheckCertificate(auth, settings);
        return settings;
    }

    /// <summary>The PEM file with authorities that a section names, which nobody else can change; null when it names none.</summary>
    internal static string? Authority(YamlSection section, string folder)
    {
        var authority = Path(section, "authority", folder);
        CheckFile(section, "authority", authority, OthersWrite);
        if (authority is not null && File.Exists(authority) && AuthorityFault(authority) is { } wrong)
            section.Refuse("authority", SiteReader.Code, $"{authority} holds no certificate of an authority: {wrong}", "a PEM file");
        return authority;
    }

    static ImmutableArray<string> Names(YamlSection auth, string key)
    {
        foreach (var name in auth.ScalarList(key))
            if (!PartitionWords.IsSubject(name.Text) || name.Text == "*")
                auth.Refuse(key, SiteReader.Code, $"'{DocumentError.Cut(name.Text)}' is nobody", "a login name or @GROUP");
        return auth.TextList(key);
    }

    public static string? Path(YamlSection auth, string key, string folder) => auth.OptionalText(key) is { } path ? System.IO.Path.GetFullPath(path, folder) : null;

    public static void CheckFile(YamlSection auth, string key, string? path, UnixFileMode forbidden)
    {
        if (path is null)
            return;
        if (!File.Exists(path))
            auth.Refuse(key, SiteReader.Code, $"{path} does not exist");
        else if ((File.GetUnixFileMode(path) & forbidden) != 0)
            auth.Refuse(key, SiteReader.Code, $"{path} can be read by everybody or written by others than its owner", null, $"chmod 0640 {path}");
    }

    static string? AuthorityFault(string path)
    {
        try
        {
            return GivenRoots.Read(path).Count > 0 ? null : "it is empty";
        }
        catch (Exception e) when (e is CryptographicException or IOException or UnauthorizedAccessException)
        {
            return e.Message;
        }
    }

    static void CheckCertificate(YamlSection auth, AuthSettings settings)
    {
        try
        {
            using var certificate = X509Certificate2.CreateFromPemFile(settings.Certificate!, settings.Key);
            if (certificate.NotAfter < DateTime.Now)
                auth.Refuse("certificate", SiteReader.Code, $"{settings.Certificate} has expired on {certificate.NotAfter:yyyy-MM-dd}");
        }
        catch (Exception e) when (e is CryptographicException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            auth.Refuse("certificate", SiteReader.Code, $"{settings.Certificate} and {settings.Key} are no certificate with its key: {e.Message}");
        }
    }
}
