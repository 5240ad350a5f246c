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
        _every = options.World.Every(StandaloneSender.ReportPeriod, () => Report(progress()));
    }

    public void End(ChainProgress progress, Fault? fault)
    {
        lock (_saying)
        {
            _hasEnded = true;
            StandaloneReceiver.Say(_line, new Ended(progress, fault?.Code.Text, fault?.Message));
        }
    }

    public void Dispose() => _every.Dispose();

    void Report(ChainProgress progress)
    {
        lock (_saying)
        {
            if (!_hasEnded)
            {
                StandaloneReceiver.Say(_line, new Progressed(progress));
            }
        }
    }
}
