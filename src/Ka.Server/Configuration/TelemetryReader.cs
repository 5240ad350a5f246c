using Ka.Core.Documents;
using Ka.Server.Telemetry;
using Ka.Yaml;
using OpenTelemetry.Exporter;

namespace Ka.Server.Configuration;

/// <summary>A collector of OpenTelemetry that is told how operations went.</summary>
/// <param name="HeadersFile">Read when the server starts (<see cref="OtlpHeaders"/>); null for none.</param>
public sealed record OtlpSettings(Uri Endpoint, OtlpExportProtocol Protocol, string? HeadersFile);

/// <summary>Reads <c>telemetry</c> of the server's configuration, and looks at the file that it names.</summary>
static class TelemetryReader
{
    /// <param name="folder">Where a relative path begins.</param>
    public static OtlpSettings? Read(YamlSection root, string folder)
    {
        if (!root.Has("telemetry"))
            return null;
        var otlp = root.Section("telemetry", "otlp").Section("otlp", "endpoint", "protocol", "headers-file");
        if (otlp.RequiredText("endpoint") is not { Length: > 0 } text)
            return null;
        var headers = AuthReader.Path(otlp, "headers-file", folder);
        AuthReader.CheckFile(otlp, "headers-file", headers, AuthReader.OthersWrite | UnixFileMode.OtherRead);
        if (headers is not null && File.Exists(headers) && HeadersFault(headers) is { } wrong)
            otlp.Refuse("headers-file", SiteReader.Code, $"{headers} holds no headers: {wrong}", "lines of NAME: VALUE");
        if (!Uri.TryCreate(text, UriKind.Absolute, out var endpoint) || endpoint.Scheme is not ("https" or "http") || endpoint.UserInfo.Length > 0 || endpoint.Query.Length > 0)
        {
            otlp.Refuse("endpoint", SiteReader.Code, $"'{DocumentError.Cut(text)}' is no address of a collector", "https://HOST:PORT");
            return null;
        }
        if (endpoint.Scheme == "http" && !endpoint.IsLoopback)
            otlp.Refuse("endpoint", SiteReader.Code, "what goes to another machine is not encrypted", "https://HOST:PORT, or http:// of this machine");
        return new OtlpSettings(endpoint, Protocol(otlp), headers);
    }

    static OtlpExportProtocol Protocol(YamlSection otlp)
    {
        switch (otlp.Text("protocol", "grpc"))
        {
            case "grpc":
                return OtlpExportProtocol.Grpc;
            case "http/protobuf":
                return OtlpExportProtocol.HttpProtobuf;
            case var other:
                otlp.Refuse("protocol", SiteReader.Code, $"'{DocumentError.Cut(other)}' is no protocol of OTLP", "grpc or http/protobuf");
                return OtlpExportProtocol.Grpc;
        }
    }

    static string? HeadersFault(string path)
    {
        try
        {
            OtlpHeaders.Read(path);
            return null;
        }
        catch (Exception e) when (e is FormatException or IOException or UnauthorizedAccessException)
        {
            return e.Message;
        }
    }
}
