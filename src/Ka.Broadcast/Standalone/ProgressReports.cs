using Ka.Core.Faults;

namespace Ka.Broadcast.Standalone;

/// <summary>Tells the sender again and again how far a receiver is, and at last how it ended: nothing follows that.</summary>
sealed class ProgressReports : IDisposable
{
    readonly Lock _saying = new();
    readonly ControlLine _line;
    readonly IDisposable _every;
    bool _hasEnded;

    public ProgressReports(ControlLine line, ChainOptions options, Func<ChainProgress> progress)
    {
        _line = line;
        _every = options.World.Every(StandaloneSender.ReportPeriod, () => Say(() => new Progressed(progress()), isLast: false));
    }

    public void End(ChainProgress progress, Fault? fault) => Say(() => new Ended(progress, fault?.Code.Text, fault?.Message), isLast: true);

    public void Dispose() => _every.Dispose();

    void Say(Func<ControlMessage> message, bool isLast)
    {
        lock (_saying)
        {
            if (!_hasEnded)
            {
                StandaloneReceiver.Say(_line, message());
            }
            _hasEnded |= isLast;
        }
    }
}
