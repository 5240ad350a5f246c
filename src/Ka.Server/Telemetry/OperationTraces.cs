using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using System.Threading.Channels;
using Ka.Server.Configuration;
using Ka.Server.Hosting;
using Ka.Store;
using OpenTelemetry;
using OpenTelemetry.Exporter;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Ka.Server.Telemetry;

/// <summary>
/// Tells a collector the trace of each operation that has ended, when the site names one (<see cref="OtlpSettings"/>); otherwise does nothing. All of it happens beside the
/// operations, on one thread: a collector that is slow or gone costs traces and nothing else.
/// </summary>
public sealed partial class OperationTraces(Site site, WorkflowTable workflows, Journal journal, ILogger<OperationTraces> log) : IHostedService, IDisposable
{
    public const string SourceName = "Ka";

    /// <summary>Operations that wait to be told; the oldest is dropped for one more.</summary>
    const int OperationLimit = 1024;

    /// <summary>Spans that are handed to the exporter before it is waited for, so that a trace of any size takes bounded memory there.</summary>
    const int SpanLimit = 2048;

    /// <summary>For one request to the collector, and for all that is left when the server stops.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(10), LastPatience = TimeSpan.FromSeconds(2);

    /// <summary>So long spans wait for others, to be sent with them.</summary>
    static readonly TimeSpan BatchPeriod = TimeSpan.FromMilliseconds(500);

    static readonly ActivitySource Source = new(SourceName);

    readonly Channel<string> _ended = Channel.CreateBounded<string>(new BoundedChannelOptions(OperationLimit) { FullMode = BoundedChannelFullMode.DropOldest });
    TracerProvider? _provider;
    Thread? _thread;
    int _handed;

    /// <summary>Derived from the operation, so that the same operation always has the same trace.</summary>
    public static ActivityTraceId TraceOf(string site, string operation) =>
        ActivityTraceId.CreateFromBytes(SHA256.HashData(Encoding.UTF8.GetBytes($"{site}/{operation}")).AsSpan(0, 16));

    /// <summary>An operation has ended.</summary>
    public void Begin(string operation)
    {
        if (_provider is not null)
            _ended.Writer.TryWrite(operation);
    }

    public Task StartAsync(CancellationToken cancellationToken)
    {
        if (site.Configuration.Otlp is not { } settings)
            return Task.CompletedTask;
        _provider = Sdk.CreateTracerProviderBuilder()
            .SetResourceBuilder(ResourceBuilder.CreateEmpty().AddService("kad", serviceInstanceId: site.Configuration.Name, autoGenerateServiceInstanceId: false))
            .SetSampler(new AlwaysOnSampler())
            .AddSource(SourceName)
            .AddOtlpExporter(options => Configure(options, settings))
            .Build();
        LogTold(settings.Endpoint);
        _thread = new Thread(Tell) { IsBackground = true, Name = "traces" };
        _thread.Start();
        return Task.CompletedTask;
    }

    static void Configure(OtlpExporterOptions options, OtlpSettings settings)
    {
        options.Protocol = settings.Protocol;
        options.Endpoint = settings.Protocol == OtlpExportProtocol.HttpProtobuf ? new Uri(settings.Endpoint.AbsoluteUri.TrimEnd('/') + "/v1/traces") : settings.Endpoint;
        options.Headers = settings.HeadersFile is { } file ? OtlpHeaders.Written(OtlpHeaders.Read(file)) : "";
        options.TimeoutMilliseconds = (int)Patience.TotalMilliseconds;
        options.ExportProcessorType = ExportProcessorType.Batch;
        options.BatchExportProcessorOptions.ScheduledDelayMilliseconds = (int)BatchPeriod.TotalMilliseconds;
        options.BatchExportProcessorOptions.MaxQueueSize = 2 * SpanLimit;
        options.BatchExportProcessorOptions.MaxExportBatchSize = SpanLimit / 4;
    }

    public Task StopAsync(CancellationToken cancellationToken)
    {
        _ended.Writer.TryComplete();
        return Task.CompletedTask;
    }

    public void Dispose()
    {
        _ended.Writer.TryComplete();
        if (_provider is not null && _thread!.Join(LastPatience))
            _provider.Shutdown((int)LastPatience.TotalMilliseconds);
        while (_ended.Reader.TryRead(out _))
        {
            // Left out: the collector has had its time.
        }
    }

    /// <summary>The thread: one operation after the other until the server stops.</summary>
    void Tell()
    {
        while (_ended.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult())
            while (_ended.Reader.TryRead(out var id))
                try
                {
                    if (workflows.Find(id) is { } stored && SpanFold.Of(stored.Workflow, journal.Read(id)) is { } whole)
                        Emit(whole, new ActivityContext(TraceOf(site.Configuration.Name, id), default, ActivityTraceFlags.Recorded));
                }
                catch (Exception bug)
                {
                    // No trace is worth the server.
                    LogFailed(bug, id);
                }
    }

    /// <summary>An activity has its end before its parent has one.</summary>
    void Emit(OperationSpan span, ActivityContext parent)
    {
        using var activity = Source.StartActivity(span.Name, ActivityKind.Internal, parent, span.Attributes, startTime: span.From);
        if (activity is null)
            return;
        foreach (var child in span.Children)
            Emit(child, activity.Context);
        activity.SetStatus(span.Fault is null ? ActivityStatusCode.Ok : ActivityStatusCode.Error, span.Fault?.Message);
        activity.SetEndTime(span.Until.UtcDateTime);
        activity.Stop();
        if (++_handed % SpanLimit == 0)
            _provider!.ForceFlush((int)Patience.TotalMilliseconds);
    }

    [LoggerMessage(3101, LogLevel.Information, "the traces of operations go to {Endpoint}")]
    partial void LogTold(Uri endpoint);

    [LoggerMessage(3102, LogLevel.Error, "{Operation} has no trace")]
    partial void LogFailed(Exception exception, string operation);
}
